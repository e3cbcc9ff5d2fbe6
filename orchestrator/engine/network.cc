// Three questions, each to all hosts at once: how are you reached from here, from where do packets of yours
// go out, can you hear each other.
#include "orchestrator/engine/network.h"

#include <algorithm>
#include <utility>

namespace gnnflow {
namespace {

constexpr const char* kLoopback = "127.0.0.1";
constexpr Milliseconds kAskLimit{30'000};
constexpr Milliseconds kDialLimit{10'000};
constexpr int64_t kListenSeconds = 60;

bool is_loopback(std::string_view address) { return address.starts_with("127.") || address == "::1"; }

}  // namespace

struct Network::Survey {
  std::set<std::string> hosts;
  std::vector<Then> waiting;
  DataAddresses seen;       // of far hosts, from here
  DataAddresses addresses;  // what is found
  int open = 0;             // answers that are to come
  std::vector<Error> errors;

  void fail(Cause cause, std::string message) { errors.push_back({cause, std::move(message)}); }
  // Where others would send to; empty: not known yet.
  std::string target(const std::string& host) const {
    for (const DataAddresses* known : {&addresses, &seen}) {
      if (const auto found = known->find(host); found != known->end()) return found->second;
    }
    return "";
  }
};

bool Network::is_here(const std::string& host) const {
  const HostEntry* entry = workflow_.host(host);
  return !entry || entry->address == "local";
}

std::string Network::named_address(const std::string& host) const {
  const HostEntry* entry = workflow_.host(host);
  return entry ? entry->data_address : "";
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
  const bool all_here =
      hosts.size() == 1 ||
      std::all_of(hosts.begin(), hosts.end(), [&](const std::string& host) { return is_here(host); });
  for (const std::string& host : hosts) {
    const std::string named = named_address(host);
    if (!named.empty() || all_here) survey->addresses[host] = named.empty() ? kLoopback : named;
  }
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
    Targets others;  // as they are known now: answers of others change that
    Json::Array to;
    for (const std::string& other : survey->hosts) {
      const std::string target = survey->target(other);
      if (other == host || target.empty()) continue;
      others.emplace_back(other, target);
      to.push_back(target);
    }
    Message order;
    order.head["type"] = "route";
    order.head["to"] = Json(std::move(to));
    ++survey->open;
    pool_.order(host, std::move(order), kAskLimit, [=, this](Result<Message> answer) {
      if (answer) {
        take_route(*survey, host, others, answer->head.get("from"));
      } else {
        survey->errors.push_back(std::move(answer).error().within("asking host " + host + " for its routes"));
      }
      answered(survey, next);
    });
  }
  answered(survey, next);
}

void Network::take_route(Survey& survey, const std::string& host, const Targets& others,
                         const Json& sources) {
  std::string found, towards;
  for (size_t i = 0; i < others.size(); ++i) {
    const bool there = sources.is_array() && i < sources.array().size() && sources.array()[i].is_string();
    const std::string source = there ? sources.array()[i].string() : "";
    const std::string place = others[i].first + " (" + others[i].second + ")";
    if (source.empty()) {
      return survey.fail(Cause::unreachable, "host " + host + " has no route to " + place + ": give " +
                                                 others[i].first +
                                                 " the `data_address` under which it is reached from there");
    }
    if (!found.empty() && source != found) {
      return survey.fail(Cause::bad_workflow, "host " + host + " reaches " + towards + " from its address " +
                                                  found + ", but " + place + " from " + source + ": give " +
                                                  host + " the `data_address` that all of them can reach");
    }
    found = source;
    towards = place;
  }
  // Nobody to ask the way to: it is the only host, or the others are not known either.
  if (found.empty()) found = survey.target(host);
  if (found.empty()) {
    return survey.fail(Cause::bad_workflow, "no address is known under which others reach host " + host +
                                                ": give it a `data_address`");
  }
  survey.addresses[host] = found;
}

void Network::try_pairs(const SurveyPtr& survey) {
  survey->open = 1;
  for (const std::string& to : survey->hosts) {
    std::vector<std::string> from;
    const std::string address = survey->addresses[to];
    for (const std::string& other : survey->hosts) {
      const bool same =
          pool_.greeting(other).text_or("boot", other) == pool_.greeting(to).text_or("boot", to);
      if (other == to || (same && is_loopback(address))) continue;
      if (tried_.count(daemon_of(other) + " " + daemon_of(to) + " " + address) == 0) from.push_back(other);
    }
    if (!from.empty()) try_host(survey, to, from);
  }
  answered(survey, [this, survey] { finish(survey); });
}

void Network::try_host(const SurveyPtr& survey, const std::string& to, const std::vector<std::string>& from) {
  Message order;
  order.head["type"] = "listen";
  order.head["address"] = survey->addresses[to];
  order.head["seconds"] = kListenSeconds;
  ++survey->open;
  pool_.order(to, std::move(order), kAskLimit, [this, survey, to, from](Result<Message> answer) {
    if (answer) {
      for (const std::string& host : from) dial(survey, host, to, answer->head);
    } else {
      survey->fail(answer.error().cause, "host " + to + " cannot listen on " + survey->addresses[to] + ": " +
                                             answer.error().message +
                                             "; its `data_address` must be an address of that machine");
    }
    answered(survey, [this, survey] { finish(survey); });
  });
}

void Network::dial(const SurveyPtr& survey, const std::string& from, const std::string& to,
                   const Json& listener) {
  const std::string address = survey->addresses[to];
  const int64_t port = listener.integer_or("port", 0);
  Message order;
  order.head["type"] = "dial";
  order.head["address"] = address;
  order.head["port"] = port;
  order.head["nonce"] = listener.text_or("nonce", "");
  order.head["timeout_ms"] = kDialLimit.count();
  ++survey->open;
  const std::string pair = daemon_of(from) + " " + daemon_of(to) + " " + address;
  pool_.order(from, std::move(order), kDialLimit + kAskLimit, [=, this](Result<Message> answer) {
    if (answer) {
      tried_.insert(pair);
    } else {
      survey->fail(answer.error().cause, "host " + from + " cannot reach host " + to + " at " + address +
                                             " (port " + std::to_string(port) +
                                             "): " + answer.error().message + "; open the ports of " + to +
                                             " to " + from + ", or give " + to +
                                             " the `data_address` under which " + from + " can reach it");
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
