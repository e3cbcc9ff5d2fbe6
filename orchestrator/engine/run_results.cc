// One run of a workflow: where what it has made lies, for a person.
#include <algorithm>

#include "common/base/log.h"
#include "common/base/text.h"
#include "orchestrator/engine/results.h"
#include "orchestrator/engine/run_loop.h"

namespace gnnflow {
namespace {

constexpr size_t kMostPlaces = 4;  // that are told of one step

}  // namespace

// The path of its link in results/; empty when it is not on this machine's side.
std::string RunLoop::name_result(const StepRun& step, const Piece& piece, const std::string& name) {
  auto path = locations_.on(std::string(kController), piece.digest, piece.name);
  if (!path || !*path) return "";
  const fs::path root = pool_.root(std::string(kController)), whole = root / **path;
  auto link = link_result(root, name, whole);
  if (!link) log_warning("{}", link.error().message);
  if (link && link->moved && step.verdict.what == Verdict::What::cached)
    moved_[step.verdict.run].push_back("results/" + name);
  return (link ? link->path : whole).string();
}

// Of one output among several: `card.md` on the controller by its short name, elsewhere as it lies there.
std::string RunLoop::place_of(const StepRun& step, const Piece& piece) {
  const auto output = step.kind->output(*step.entry, piece.name);
  const fs::path below = output ? output->path : "";
  const std::string here = name_result(step, piece, step.entry->name + "." + piece.name);
  if (!here.empty()) return (fs::path(here) / below).string();
  const auto copies = bench_.read(locations_.of(piece.digest, piece.name));
  for (const LocationRow& copy : copies.value_or(std::vector<LocationRow>())) {
    if (pool_.knows(copy.host))
      return (pool_.root(copy.host) / copy.path / below).string() + " on " + copy.host;
  }
  return "";
}

// Empty when there is nothing to tell.
std::string RunLoop::result_text(const StepRun& step) {
  const auto made = made_.find(step.entry->name);
  if (!step.kind->is_told() || made == made_.end() || made->second.pieces.empty()) return "";
  const auto& pieces = made->second.pieces;
  if (step.kind->comes_home()) {
    const std::string path = name_result(step, pieces.front(), step.entry->name);
    return path.empty() ? "" : step.kind->headline(made->second, path);
  }
  std::vector<std::string> places;
  for (const Piece& piece : pieces) {
    if (std::string place = place_of(step, piece); !place.empty()) places.push_back(std::move(place));
  }
  if (places.size() > kMostPlaces) {
    places[kMostPlaces - 1] = "and " + std::to_string(places.size() - kMostPlaces + 1) + " more";
    places.resize(kMostPlaces);
  }
  return join(places, ", ");
}

// Links that named something else when the run began, and now name what an earlier run has made.
std::string RunLoop::moved_text() const {
  std::vector<std::string> texts;
  for (const auto& [run, names] : moved_)
    texts.push_back(join(names, ", ") + (names.size() == 1 ? " now names" : " now name") + " what run " +
                    std::to_string(run) + " made");
  return join(texts, "; ");
}

std::string RunLoop::summary() {
  std::vector<std::string> lines;
  for (const StepRun& step : steps_) {
    const std::string text = result_text(step);
    if (!text.empty()) lines.push_back(step.entry->name + ": " + text);
  }
  if (!moved_.empty()) lines.insert(lines.begin(), moved_text());
  return join(lines, "\n");
}

}  // namespace gnnflow
