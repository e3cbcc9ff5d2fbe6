// Reading single steps, then what holds between them.
#include "orchestrator/workflow/step_reader.h"

#include <algorithm>
#include <utility>

#include <fmt/format.h>

#include "common/base/text.h"
#include "orchestrator/workflow/file_schema.h"
#include "orchestrator/workflow/step_order.h"
#include "orchestrator/workflow/value_reader.h"

namespace gnnflow {
namespace {

// A step as read, with what is needed until all steps are known.
struct ReadStep {
  StepEntry entry;
  TextPlace at;
  const KindSchema* kind = nullptr;
  std::vector<FoundReference> references;
  const YamlNode* needs = nullptr;
  bool good = false;  // has a name and a kind
};

class StepsReader {
 public:
  StepsReader(const StepSurroundings& around, Problems& problems) : around_(around), problems_(problems) {
    for (const KindSchema& kind : around.kinds) kind_names_.push_back(kind.kind);
  }

  std::vector<StepEntry> run(const YamlNode& steps) {
    if (steps.kind != YamlNode::Kind::list || steps.items.empty()) {
      problems_.add(steps.at,
                    fmt::format("'steps' must be a list of steps, not {}",
                                steps.kind == YamlNode::Kind::list ? "an empty one" : describe(steps)),
                    "steps:\n  - name: graph\n    generate: { preset: tiny }");
      return {};
    }
    for (const YamlNode& item : steps.items) read_step(item);
    refuse_double_names();
    for (size_t i = 0; i < steps_.size(); ++i) connect(i);
    std::vector<OrderedStep> order;
    for (const ReadStep& step : steps_) order.push_back({step.entry.name, step.entry.needs, step.at});
    std::vector<StepEntry> entries;
    for (size_t i : topological_order(order, problems_)) entries.push_back(std::move(steps_[i].entry));
    return entries;
  }

 private:
  void read_step(const YamlNode& item) {
    if (item.broken) return;
    ReadStep step;
    step.at = item.at;
    step.entry.line = item.at.line + 1;
    step.entry.column = item.at.column + 1;
    if (item.kind != YamlNode::Kind::map) {
      problems_.add(item.at, fmt::format("a step must be a map, not {}", describe(item)),
                    "- name: graph\n  generate: { preset: tiny }");
      return;
    }
    const YamlNode* name = item.find("name");
    step.entry.name = name && name->kind == YamlNode::Kind::scalar ? name->text : "";
    std::string where = step.entry.name.empty() ? "this step" : fmt::format("step '{}'", step.entry.name);
    const YamlNode* options = find_kind(item, step, where);
    read_common(item, step, where);
    if (name && !name->broken && !step.entry.name.empty() && !is_name(step.entry.name)) {
      problems_.add(name->at, fmt::format("'{}' is no name of a step: up to 64 letters, digits, _ and -",
                                          step.entry.name));
    }
    if (step.kind && options && !options->broken) read_options(*options, step, where);
    step.good = step.kind && !step.entry.name.empty();
    steps_.push_back(std::move(step));
  }

  // The one key that is a kind; its place becomes where missing options are told.
  const YamlNode* find_kind(const YamlNode& item, ReadStep& step, const std::string& where) {
    const YamlNode* options = nullptr;
    std::vector<std::string> known = kind_names_;
    for (const OptionSchema& schema : step_schema()) known.push_back(schema.key);
    for (const auto& [key, value] : item.members) {
      auto kind = std::find_if(around_.kinds.begin(), around_.kinds.end(),
                               [&](const KindSchema& k) { return k.kind == key.text; });
      if (kind == around_.kinds.end()) {
        if (std::find(known.begin(), known.end(), key.text) != known.end()) continue;
        problems_.add(key.at,
                      fmt::format("unknown key '{}' in {}{}", key.text, where, suggestion(key.text, known)),
                      misplaced(key.text));
        unknown_key_ = true;
      } else if (step.kind) {
        problems_.add(key.at, fmt::format("{} has two kinds, '{}' and '{}': make two steps of it", where,
                                          step.kind->kind, key.text));
      } else {
        step.kind = &*kind;
        step.entry.kind = kind->kind;
        kind_at_ = key.at;
        options = &value;
      }
    }
    if (!step.kind && !std::exchange(unknown_key_, false)) {
      problems_.add(item.at, fmt::format("{} has no kind", where),
                    fmt::format("one of these keys says what it does: {}", join(kind_names_, ", ")));
    }
    unknown_key_ = false;
    return options;
  }

  // An option of a kind that was written beside the kind instead of below it.
  std::string misplaced(const std::string& key) const {
    std::vector<std::string> owners;
    for (const KindSchema& kind : around_.kinds) {
      for (const OptionSchema& option : kind.options) {
        if (option.key == key) owners.push_back(kind.kind);
      }
    }
    if (owners.empty()) return fmt::format("kinds: {}", join(kind_names_, ", "));
    return fmt::format("'{}' is an option of {}: it belongs below that key", key, join(owners, ", "));
  }

  void read_common(const YamlNode& item, ReadStep& step, const std::string& where) {
    YamlNode common = item;
    std::erase_if(common.members, [](const auto& member) {
      const std::vector<OptionSchema>& schemas = step_schema();
      return std::none_of(schemas.begin(), schemas.end(),
                          [&](const OptionSchema& s) { return s.key == member.first.text; });
    });
    ValueReader reader(problems_, where, nullptr);
    Json read = reader.read_members(common, step_schema(), "", item.at);
    for (const FoundReference& found : reader.references()) {
      problems_.add(found.at, fmt::format("'{}' of {} cannot refer to a step", found.option, where),
                    "needs: lists names of steps, without ${ }");
    }
    step.entry.retries = static_cast<int>(read.integer_or("retries", around_.defaults.retries));
    step.entry.lost_retries =
        static_cast<int>(read.integer_or("lost_retries", around_.defaults.lost_retries));
    step.entry.timeout = Milliseconds(read.integer_or("timeout", around_.defaults.timeout.count()));
    step.needs = item.find("needs");
    if (step.needs && (step.needs->kind != YamlNode::Kind::list || step.needs->broken)) step.needs = nullptr;
  }

  void read_options(const YamlNode& options, ReadStep& step, const std::string& where) {
    YamlNode nothing;
    if (options.kind != YamlNode::Kind::map && options.kind != YamlNode::Kind::null) {
      problems_.add(
          options.at,
          fmt::format("'{}' of {} must be a map, not {}", step.kind->kind, where, describe(options)),
          step.kind->help);
      return;
    }
    ValueReader reader(problems_, where, &around_.hosts);
    size_t before = problems_.count();
    step.entry.options = reader.read_members(options.kind == YamlNode::Kind::map ? options : nothing,
                                             step.kind->options, "", kind_at_);
    step.references = reader.references();
    if (problems_.count() != before || !step.kind->check) return;
    for (const auto& [path, message] : step.kind->check(step.entry.options)) {
      problems_.add(place_of(options, path), fmt::format("{}: {}", where, message));
    }
  }

  // Where the option "model.hidden" or "inputs.0" stands; the nearest above it when it was not written.
  TextPlace place_of(const YamlNode& options, const std::string& path) const {
    TextPlace at = kind_at_;
    const YamlNode* node = &options;
    for (const std::string& word : split(path, '.')) {
      std::optional<int64_t> index = parse_integer(word);
      bool item =
          node->kind == YamlNode::Kind::list && index && *index < static_cast<int64_t>(node->items.size());
      const YamlNode* below = item ? &node->items[static_cast<size_t>(*index)] : node->find(word);
      if (!below) break;
      at = below->at;
      node = below;
    }
    return at;
  }

  const ReadStep* find(std::string_view name) const {
    for (const ReadStep& step : steps_) {
      if (step.entry.name == name) return &step;
    }
    return nullptr;
  }

  std::string step_suggestion(std::string_view name) const {
    std::vector<std::string> names;
    for (const ReadStep& step : steps_) names.push_back(step.entry.name);
    return suggestion(name, names);
  }

  void refuse_double_names() {
    for (const ReadStep& step : steps_) {
      const ReadStep* first = find(step.entry.name);
      if (first == &step || step.entry.name.empty()) continue;
      problems_.add(step.at, fmt::format("a second step '{}'; the first is on line {}", step.entry.name,
                                         first->entry.line));
    }
  }

  // Needs: what it refers to and what `needs` lists; with neither, the step before it.
  void connect(size_t index) {
    ReadStep& step = steps_[index];
    std::vector<std::string>& needs = step.entry.needs;
    auto add = [&](const std::string& name) {
      if (std::find(needs.begin(), needs.end(), name) == needs.end()) needs.push_back(name);
    };
    for (const FoundReference& found : step.references) {
      if (!check_reference(step, found)) continue;
      step.entry.references.push_back({found.step, found.output, found.option});
      add(found.step);
    }
    if (step.needs) {
      for (const YamlNode& item : step.needs->items) {
        if (item.kind != YamlNode::Kind::scalar || item.broken || item.to_step) continue;
        if (find(item.text)) {
          add(item.text);
        } else {
          problems_.add(item.at, fmt::format("'needs' of step '{}' names no step: '{}'{}", step.entry.name,
                                             item.text, step_suggestion(item.text)));
        }
      }
    } else if (step.references.empty() && index > 0) {
      if (steps_[index - 1].good) add(steps_[index - 1].entry.name);
    }
  }

  bool check_reference(const ReadStep& step, const FoundReference& found) {
    const ReadStep* target = find(found.step);
    if (!target) {
      problems_.add(found.at, fmt::format("'{}' of step '{}' refers to an unknown step '{}'{}", found.option,
                                          step.entry.name, found.step, step_suggestion(found.step)));
      return false;
    }
    if (!target->kind) return true;
    if (!check_output(step, *target, found)) return false;
    const std::vector<std::string>& accepts = found.accepts;
    if (!accepts.empty() && std::find(accepts.begin(), accepts.end(), target->entry.kind) == accepts.end()) {
      problems_.add(
          found.at,
          fmt::format("'{}' of step '{}' must refer to a step of kind {}, but '{}' is of kind {}",
                      found.option, step.entry.name, join(accepts, " or "), found.step, target->entry.kind));
      return false;
    }
    return true;
  }

  bool check_output(const ReadStep& step, const ReadStep& target, const FoundReference& found) {
    if (found.output.empty() && !target.kind->outputs.empty()) return true;  // its first
    std::vector<std::string> names;
    bool numbered = false;
    for (const OutputSchema& output : target.kind->outputs) names.push_back(output.name);
    if (!target.kind->outputs_from.empty()) {
      const Json& further = target.entry.options.get(target.kind->outputs_from);
      const std::string& numbered_by = target.kind->numbered_by;
      numbered = !numbered_by.empty() && target.entry.options.has(numbered_by);
      if (further.is_object()) {
        for (const auto& [name, path] : further.object()) {
          if (numbered && without_number(found.output) == name) return true;
          names.push_back(numbered ? name + "-0" : name);
        }
      }
    }
    if (std::find(names.begin(), names.end(), found.output) != names.end()) return true;
    std::string known = names.empty() ? "it declares no outputs"
                                      : fmt::format("it has: {}{}", join(names, ", "),
                                                    numbered ? ", and so on for each rank" : "");
    if (found.output.empty()) {
      problems_.add(found.at,
                    fmt::format("'{}' of step '{}' must name an output of '{}', as ${{steps.{}.NAME}}",
                                found.option, step.entry.name, found.step, found.step),
                    known);
    } else {
      problems_.add(found.at,
                    fmt::format("step '{}' ({}) has no output '{}'{}", found.step, target.entry.kind,
                                found.output, suggestion(found.output, names)),
                    known);
    }
    return false;
  }

  const StepSurroundings& around_;
  Problems& problems_;
  std::vector<std::string> kind_names_;
  std::vector<ReadStep> steps_;
  TextPlace kind_at_;
  bool unknown_key_ = false;
};

}  // namespace

std::vector<StepEntry> read_steps(const YamlNode& steps, const StepSurroundings& surroundings,
                                  Problems& problems) {
  return StepsReader(surroundings, problems).run(steps);
}

}  // namespace gnnflow
