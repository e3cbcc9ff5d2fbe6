// Kahn's algorithm with the smallest index first; what is left over holds a circle.
#include "orchestrator/workflow/step_order.h"

#include <algorithm>
#include <functional>
#include <map>
#include <queue>

#include <fmt/format.h>

#include "common/base/text.h"

namespace gnnflow {
namespace {

struct Edges {
  std::vector<std::vector<size_t>> needs, needed_by;
};

Edges edges_of(const std::vector<OrderedStep>& steps) {
  std::map<std::string, size_t, std::less<>> index;
  for (size_t i = 0; i < steps.size(); ++i) index.emplace(steps[i].name, i);
  Edges edges{std::vector<std::vector<size_t>>(steps.size()), std::vector<std::vector<size_t>>(steps.size())};
  for (size_t i = 0; i < steps.size(); ++i) {
    for (const std::string& need : steps[i].needs) {
      auto found = index.find(need);
      if (found == index.end()) continue;
      edges.needs[i].push_back(found->second);
      edges.needed_by[found->second].push_back(i);
    }
  }
  return edges;
}

// From a step that is in or behind a circle, following needs that are left, until a step comes again.
std::vector<size_t> circle_from(size_t step, const Edges& edges, const std::vector<size_t>& open) {
  std::vector<size_t> path;
  while (std::find(path.begin(), path.end(), step) == path.end()) {
    path.push_back(step);
    step = *std::find_if(edges.needs[step].begin(), edges.needs[step].end(),
                         [&](size_t need) { return open[need] > 0; });
  }
  path.erase(path.begin(), std::find(path.begin(), path.end(), step));
  std::rotate(path.begin(), std::min_element(path.begin(), path.end()), path.end());
  return path;
}

void tell_circle(const std::vector<OrderedStep>& steps, const std::vector<size_t>& circle,
                 Problems& problems) {
  const OrderedStep& first = steps[circle[0]];
  if (circle.size() == 1) {
    problems.add(first.at, fmt::format("step '{}' needs itself", first.name));
    return;
  }
  std::string text;
  for (size_t index : circle) text += fmt::format("'{}' needs ", steps[index].name);
  problems.add(first.at, fmt::format("steps need each other in a circle: {}'{}'", text, first.name));
}

}  // namespace

std::vector<size_t> topological_order(const std::vector<OrderedStep>& steps, Problems& problems) {
  Edges edges = edges_of(steps);
  std::vector<size_t> open(steps.size()), order;  // open: how many needs are not yet in the order
  std::priority_queue<size_t, std::vector<size_t>, std::greater<>> ready;
  for (size_t i = 0; i < steps.size(); ++i) {
    open[i] = edges.needs[i].size();
    if (open[i] == 0) ready.push(i);
  }
  while (!ready.empty()) {
    size_t step = ready.top();
    ready.pop();
    order.push_back(step);
    for (size_t next : edges.needed_by[step]) {
      if (--open[next] == 0) ready.push(next);
    }
  }
  if (order.size() == steps.size()) return order;
  size_t left = static_cast<size_t>(std::find_if(open.begin(), open.end(), [](size_t n) { return n > 0; }) -
                                    open.begin());
  tell_circle(steps, circle_from(left, edges, open), problems);
  return {};
}

}  // namespace gnnflow
