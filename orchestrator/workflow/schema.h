// What a step kind may be told: keys, types, limits. The loader checks files against it; docs are tested
// against it.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "common/base/json.h"

namespace gnnflow {

enum class OptionType { text, integer, number, boolean, duration, bytes, list, map, reference, any };

struct OptionSchema {
  std::string key;
  OptionType type = OptionType::text;
  std::string help;  // one line
  bool required = false;
  Json otherwise;                        // the default; null: none
  std::optional<double> least, most;     // of numbers; of each integer in a list
  std::vector<std::string> choices;      // of text
  OptionType element = OptionType::any;  // of a list; of a map's values when `members` is empty
  std::vector<OptionSchema> members;     // of a map; unknown keys in it are errors
  bool in_key = true;                    // does it change the result? (docs/decisions: fingerprints)
  std::vector<std::string> accepts;      // of a reference: the kinds of step that it may name
  bool hidden = false;  // its values are kept as digests and never shown
  bool names_host = false;  // the text, or each key of the map, is a host of the file or `controller`
};

// Output names that `${steps.x.<name>}` may use; "" (the step itself) is the first.
struct OutputSchema {
  std::string name;   // "graph", "best"
  std::string piece;  // the published piece that holds it: "graph", "model"
  std::string path;   // below that piece: "", "best/model.safetensors"
};

struct KindSchema {
  std::string kind;  // "train": also the key in the file
  std::string help;
  std::vector<OptionSchema> options;
  std::vector<OutputSchema> outputs;
  std::string
      outputs_from;  // an option (a map) whose keys are the names of further outputs: "outputs" of exec
  // An option that, when given, makes each of these one per rank: "card" becomes "card-0", "card-1" ...
  std::string numbered_by;
  // Beyond single options: {option path, message} of what does not fit together.
  std::function<std::vector<std::pair<std::string, std::string>>(const Json& options)> check;
};

// "card-12" -> "card"; empty when it does not end so.
inline std::string_view without_number(std::string_view name) {
  const size_t digits = name.find_last_not_of("0123456789");
  const bool numbered = digits != std::string_view::npos && digits + 1 < name.size() && name[digits] == '-';
  return numbered ? name.substr(0, digits) : std::string_view();
}

}  // namespace gnnflow
