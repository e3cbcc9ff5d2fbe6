// Three questions, each to all hosts at once: how are you reached from here, from where do packets of yours
// go out, can you hear each other.
#include "orchestrator/engine/network.h"

#include <utility>

namespace gnnflow {
namespace {

constexpr Milliseconds kAskLimit{30'000};

}  // namespace

struct Network::Survey {
  std::set<std::string> hosts;
  std::vector<Then> waiting;
  DataAddresses seen;       // of far hosts, from here
  DataAddresses addresses;  // what is found
  int open = 0;             // answers that are to come
  std::vector<Error> errors;

  // Where others would send to; empty: not known yet.
  std::string target(const std::string& host) const {
    for (const DataAddresses* known : {&addresses, &seen}) {
      if (const auto found = known->find(host); found != known->end()) return found->second;
    }
    return "";
  }
};

// The controller has none, and is here.
HostEntry Network::entry_of(const std::string& host) const {
  if (const HostEntry* entry = workflow_.host(host)) return *entry;
  HostEntry controller;
  controller.name = host;
  return controller;
}

std::string Network::daemon_of(const std::string& host) const {
  const Json& greeting = pool_.greeting(host);
  return host + "/" + greeting.text_or("boot", "") + "/" + std::to_string(greeting.integer_or("pid", 0)) +
         "/" + std::to_string(greeting.integer_or("start_time", 0));
}

void Network::prepare(const std::set<std::string>& hosts, Then then) {
  SurveyPtr& survey = under_way_[hosts];
  if (survey) {
    survey->waiting.push_back(std::move(then));
    return;
  }
  survey = std::make_shared<Survey>();
  survey->hosts = hosts;
  survey->waiting.push_back(std::move(then));
  std::vector<HostEntry> entries;
  for (const std::string& host : hosts) entries.push_back(entry_of(host));
  survey->addresses = settled_addresses(entries);
  ask_far_addresses(SurveyPtr(survey));
}

void Network::answered(const SurveyPtr& survey, const std::function<void()>& next) {
  if (--survey->open > 0) return;
  if (survey->errors.empty()) return next();
  finish(survey);
}

void Network::ask_far_addresses(const SurveyPtr& survey) {
  const auto next = [this, survey] { ask_routes(survey, true); };
  survey->open = 1;
  for (const std::string& host : survey->hosts) {
    if (is_here(host) || survey->addresses.count(host) != 0) continue;
    ++survey->open;
    pool_.work<Result<std::string>>(
        host, [](Host& at) { return Result<std::string>(at.address()); },
        [this, survey, host, next](const Result<std::string>& address) {
          if (address && !address->empty()) survey->seen[host] = *address;
          answered(survey, next);
        });
  }
  answered(survey, next);
}

// The entries of this machine first: far hosts are then asked for the way to those, too.
void Network::ask_routes(const SurveyPtr& survey, bool from_here) {
  const std::function<void()> next = [this, survey, from_here] {
    from_here ? ask_routes(survey, false) : try_pairs(survey);
  };
  std::vector<std::string> asked;
  for (const std::string& host : survey->hosts) {
    if (is_here(host) == from_here && survey->addresses.count(host) == 0) asked.push_back(host);
  }
  survey->open = 1;
  for (const std::string& host : asked) {
    std::vector<WayTo> others;  // as they are known now: answers of others change that
    for (const std::string& other : survey->hosts) {
      const std::string target = survey->target(other);
      if (other != host && !target.empty()) others.push_back({other, target});
    }
    ++survey->open;
    pool_.order(host, route_order(others), kAskLimit, [=, this](Result<Message> answer) {
      if (answer) {
        take_route(*survey, host, others, answer->head);
      } else {
        survey->errors.push_back(std::move(answer).error().within("asking host " + host + " for its routes"));
      }
      answered(survey, next);
    });
  }
  answered(survey, next);
}

void Network::take_route(Survey& survey, const std::string& host, const std::vector<WayTo>& others,
                         const Json& answer) {
  RouteFinding route = judge_routes({host, survey.target(host)}, others, answer);
  for (Error& fault : route.faults) survey.errors.push_back(std::move(fault));
  survey.addresses[host] = std::move(route.source);
}

void Network::try_pairs(const SurveyPtr& survey) {
  survey->open = 1;
  for (const std::string& to : survey->hosts) {
    std::vector<std::string> from;
    const std::string address = survey->addresses[to];
    for (const std::string& other : survey->hosts) {
      if (other == to || is_loopback_way(pool_.greeting(other), pool_.greeting(to), address)) continue;
      if (tried_.count(daemon_of(other) + " " + daemon_of(to) + " " + address) == 0) from.push_back(other);
    }
    if (!from.empty()) try_host(survey, {to, address}, from);
  }
  answered(survey, [this, survey] { finish(survey); });
}

void Network::try_host(const SurveyPtr& survey, const WayTo& to, const std::vector<std::string>& from) {
  ++survey->open;
  pool_.order(to.host, listen_order(to.address), kAskLimit, [this, survey, to, from](Result<Message> answer) {
    if (answer) {
      for (const std::string& host : from) dial(survey, host, to, answer->head);
    } else {
      survey->errors.push_back(cannot_listen(to, answer.error()));
    }
    answered(survey, [this, survey] { finish(survey); });
  });
}

void Network::dial(const SurveyPtr& survey, const std::string& from, const WayTo& to, const Json& listener) {
  ++survey->open;
  const std::string pair = daemon_of(from) + " " + daemon_of(to.host) + " " + to.address;
  pool_.order(from, dial_order(to.address, listener), kDialLimit + kAskLimit,
              [=, this](Result<Message> answer) {
                if (answer) {
                  tried_.insert(pair);
                } else {
                  survey->errors.push_back(cannot_dial(from, to, listener, answer.error()));
                }
                answered(survey, [this, survey] { finish(survey); });
              });
}

void Network::finish(const SurveyPtr& survey) {
  under_way_.erase(survey->hosts);
  for (Then& then : std::exchange(survey->waiting, {})) {
    if (survey->errors.empty()) {
      then(survey->addresses);
      continue;
    }
    Error error = survey->errors.front();
    if (const size_t more = survey->errors.size() - 1; more > 0)
      error.message += "; and " + std::to_string(more) + " more such";
    then(std::move(error));
  }
}

}  // namespace gnnflow
