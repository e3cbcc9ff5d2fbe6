// A YAML document as a tree of ours: each node with its place, its text as written, and, once evaluated, its
// value.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "common/base/json.h"
#include "orchestrator/workflow/problems.h"

namespace gnnflow {

struct YamlNode {
  enum class Kind { null, scalar, list, map };
  Kind kind = Kind::null;
  TextPlace at;
  std::string text;             // of a scalar: as written, quotes and escapes undone
  bool plain = false;           // of a scalar: without quotes, so that `3` is a number
  bool in_quotes = false;       // text begins one column after `at`
  std::vector<YamlNode> items;  // of a list
  std::vector<std::pair<YamlNode, YamlNode>>
      members;  // of a map, in file order; keys are scalars, none twice

  // Filled by evaluation (value_reader.h):
  Json value;            // of a scalar: typed, references to parameters and environment resolved
  bool to_step = false;  // its text has a ${steps...}, which stays text
  bool broken = false;   // a problem was told: tell no more about it

  const YamlNode* find(std::string_view key) const;
};

// "an integer", "text", "a list": as written, for messages.
std::string describe(const YamlNode& node);

}  // namespace gnnflow
