// From nodes to typed values: references resolved, each option checked against its schema, defaults filled
// in.
#pragma once

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "common/base/json.h"
#include "orchestrator/workflow/expression.h"
#include "orchestrator/workflow/problems.h"
#include "orchestrator/workflow/schema.h"
#include "orchestrator/workflow/yaml_node.h"

namespace gnnflow {

// What `${params.x}` and `${env.X}` may name here.
struct Scope {
  Json::Object params;
  Json::Object env;
  bool steps = false;  // are ${steps...} allowed?
};

// A `${steps...}` as met, with its place.
struct FoundReference {
  std::string step, output, option;
  TextPlace at;
  std::vector<std::string> accepts;  // the kinds of step that it may name; empty: all
};

// Scalars get their values: plain ones typed, parameters and environment filled in. Problems go to
// `problems`.
void evaluate(YamlNode& node, const Scope& scope, Problems& problems);

// Reads evaluated nodes against schemas. `where` is how messages name the owner: "step 'model'", "host
// 'node1'".
class ValueReader {
 public:
  ValueReader(Problems& problems, std::string where, const std::vector<std::string>* hosts)
      : problems_(problems), where_(std::move(where)), hosts_(hosts) {}

  // The members of a map (or of nothing at all: only defaults). `at`: where a missing key is told.
  Json read_members(const YamlNode& node, const std::vector<OptionSchema>& schemas, const std::string& path,
                    TextPlace at);
  Json read(const YamlNode& node, const OptionSchema& schema, const std::string& path);

  const std::vector<FoundReference>& references() const { return references_; }

 private:
  Json read_text(const YamlNode& node, const OptionSchema& schema, const std::string& path);
  Json read_number(const YamlNode& node, const OptionSchema& schema, const std::string& path);
  Json read_amount(const YamlNode& node, const OptionSchema& schema, const std::string& path);
  Json read_reference(const YamlNode& node, const OptionSchema& schema, const std::string& path);
  Json read_list(const YamlNode& node, const OptionSchema& schema, const std::string& path);
  Json read_map(const YamlNode& node, const OptionSchema& schema, const std::string& path);
  Json read_any(const YamlNode& node, const OptionSchema& schema, const std::string& path);

  std::string the(const std::string& path) const;  // "'epochs' of step 'model'"
  Json wrong_type(const YamlNode& node, const OptionSchema& schema, const std::string& path,
                  std::string_view wanted);
  bool in_range(const YamlNode& node, const OptionSchema& schema, const std::string& path, double value);
  void check_host(TextPlace at, const std::string& name, const std::string& path);
  void note_references(const YamlNode& node, const OptionSchema* schema, const std::string& path);

  Problems& problems_;
  std::string where_;
  const std::vector<std::string>* hosts_;
  std::vector<FoundReference> references_;
};

}  // namespace gnnflow
