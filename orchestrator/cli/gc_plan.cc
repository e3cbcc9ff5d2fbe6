// Following what is kept from attempts to digests to places.
#include "orchestrator/cli/gc_plan.h"

#include <algorithm>

#include <fmt/format.h>

#include "common/base/text.h"

namespace gnnflow {
namespace {

// A younger part of a file is what a broken transfer goes on from.
constexpr int64_t kOldPartMs = int64_t{24} * 3600 * 1000;
constexpr size_t kShownDigest = 8;

std::string token_beginning(const std::string& store, const AttemptRow& attempt) {
  return fmt::format("{}.{}.{}.{}.", store, attempt.run, attempt.step, attempt.number);
}

bool is_below(std::string_view path, std::string_view folder) {
  return path == folder || (path.starts_with(folder) && path.substr(folder.size()).starts_with('/'));
}

bool has_beginning(const std::set<std::string>& beginnings, std::string_view token) {
  return std::any_of(beginnings.begin(), beginnings.end(),
                     [&](const std::string& beginning) { return token.starts_with(beginning); });
}

// The last of each step that the workflow has, whatever became of it.
std::vector<const AttemptRow*> last_attempts(const GcRows& rows) {
  std::map<std::string, const AttemptRow*> last;
  for (const AttemptRow& attempt : rows.attempts) {
    const AttemptRow*& newest = last[attempt.step];
    if (!newest || newest->number < attempt.number) newest = &attempt;
  }
  std::vector<const AttemptRow*> found;
  for (const std::string& step : rows.steps) {
    if (const auto at = last.find(step); at != last.end()) found.push_back(at->second);
  }
  return found;
}

std::vector<const AttemptRow*> newest_results(const GcRows& rows, const std::string& step) {
  std::vector<const AttemptRow*> results;
  for (const AttemptRow& attempt : rows.attempts) {
    if (attempt.step == step && attempt.state == AttemptState::succeeded) results.push_back(&attempt);
  }
  std::sort(results.begin(), results.end(),
            [](const AttemptRow* a, const AttemptRow* b) { return a->number > b->number; });
  if (results.size() > static_cast<size_t>(rows.keep)) results.resize(static_cast<size_t>(rows.keep));
  return results;
}

std::string checkpoints_of(const AttemptRow& attempt) {
  return fmt::format("checkpoints/{}/{}", attempt.step, attempt.resume_key);
}

}  // namespace

GcPlan::GcPlan(const GcRows& rows, int64_t now_ms) : rows_(rows), now_ms_(now_ms) {
  for (const std::string& step : rows.steps) {
    for (const AttemptRow* attempt : newest_results(rows, step)) keep(*attempt);
  }
  for (const AttemptRow& attempt : rows.attempts) {
    const bool ended = is_final(attempt.state);
    if (!ended) unfinished_.insert(token_beginning(rows.store_id, attempt));
    if (!ended || rows.last_runs.count(attempt.id) != 0) keep(attempt);
  }
  // A training that failed goes on from its checkpoints, and its log says why it failed.
  for (const AttemptRow* attempt : last_attempts(rows)) {
    folders_.insert(checkpoints_of(*attempt));
    tokens_.insert(token_beginning(rows.store_id, *attempt));
  }
}

void GcPlan::keep(const AttemptRow& attempt) {
  tokens_.insert(token_beginning(rows_.store_id, attempt));
  folders_.insert(fmt::format("outputs/{}/{}/{}", attempt.step, attempt.key, attempt.number));
  folders_.insert(checkpoints_of(attempt));
  if (const auto pieces = rows_.pieces.find(attempt.id); pieces != rows_.pieces.end()) {
    for (const PieceRow& piece : pieces->second) digests_.insert(piece.digest);
  }
  if (const Json& inputs = attempt.inputs.get("inputs"); inputs.is_object()) {
    for (const auto& [option, content] : inputs.object()) {
      if (content.is_string()) digests_.insert(content.string().substr(0, content.string().find('/')));
    }
  }
  if (const Json& files = attempt.inputs.get("files"); files.is_object()) {
    for (const auto& [name, digest] : files.object()) {
      if (digest.is_string()) files_.insert(digest.string());
    }
  }
}

bool GcPlan::is_unfinished(std::string_view token) const { return has_beginning(unfinished_, token); }

bool GcPlan::keeps(const std::string& host, const StoredThing& thing) const {
  const std::string& path = thing.path;
  if (path.starts_with("outputs/")) return keeps_output(host, path);
  if (path.starts_with("data/")) return keeps_data(host, path);
  if (path.starts_with("checkpoints/")) return folders_.count(path) != 0;
  if (path.starts_with("logs/")) return has_beginning(tokens_, path.substr(5));
  if (path.starts_with("tmp/")) return has_beginning(unfinished_, path.substr(4));
  if (path.starts_with("incoming/")) return now_ms_ - thing.changed_ms < kOldPartMs;
  return true;
}

// Also when another attempt has made the same bytes and the row names the place of the other one.
bool GcPlan::keeps_output(const std::string& host, const std::string& path) const {
  if (folders_.count(path) != 0) return true;
  return std::any_of(rows_.locations.begin(), rows_.locations.end(), [&](const LocationRow& row) {
    return row.host == host && is_below(row.path, path) && digests_.count(row.artifact) != 0;
  });
}

// data/<digest> holds parts, data/<digest>.whole a piece, .local files of the user's, .parts lists of files.
bool GcPlan::keeps_data(const std::string& host, const std::string& path) const {
  const std::string name = path.substr(5);
  const std::string digest = name.substr(0, name.find('.'));
  if (name.ends_with(".local")) return files_.count(digest) != 0;
  if (name.ends_with(".parts")) return digests_.count(digest) != 0;
  return keeps_output(host, path);
}

std::vector<LocationRow> GcPlan::rows_to_remove(const std::string& host) const {
  std::vector<LocationRow> doomed;
  for (const LocationRow& row : rows_.locations) {
    // That of a training's checkpoints is named by the resume key, and stays as long as its folder does.
    const bool kept = digests_.count(row.artifact) != 0 || folders_.count(row.path) != 0;
    if (row.host == host && !kept) doomed.push_back(row);
  }
  return doomed;
}

std::string describe(const StoredThing& thing) {
  const std::vector<std::string> words = split(thing.path, '/');
  if (words[0] == "outputs" && words.size() == 4) return fmt::format("{}, attempt {}", words[1], words[3]);
  if (words[0] == "checkpoints" && words.size() == 3) return fmt::format("checkpoints of {}", words[1]);
  if (words[0] == "bundles" && words.size() == 1) return "all programs of gnnflow";
  if (words.size() != 2) return thing.path;
  const std::string digest = words[1].substr(0, kShownDigest);
  if (words[0] == "bundles") return "programs " + digest;
  if (words[0] != "data") return thing.path;
  if (words[1].ends_with(".whole")) return "copy of a result, " + digest;
  if (words[1].ends_with(".local")) return "input files, " + digest;
  if (words[1].ends_with(".parts")) return "lists of parts, " + digest;
  return "placed parts, " + digest;
}

}  // namespace gnnflow
