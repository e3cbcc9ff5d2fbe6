// Keys, and what changed since the last time.
#include "orchestrator/engine/fingerprint.h"

#include <algorithm>

#include "common/base/digest.h"
#include "common/base/text.h"
#include "orchestrator/workflow/expression.h"

namespace gnnflow {
namespace {

// Before values that are not kept themselves.
constexpr std::string_view kHidden = "digest ";

// A value that may be a secret: whether it changed can be seen, what it is cannot.
Json hidden(const Json& value) {
  if (!value.is_object()) return Json(std::string(kHidden) + digest_of(value.dump()));
  Json::Object result;
  for (const auto& [key, member] : value.object()) result.emplace(key, hidden(member));
  return result;
}

bool is_hidden(const Json& value) { return value.is_string() && value.string().starts_with(kHidden); }

Json kept(const Json& value, const std::vector<OptionSchema>& schemas) {
  Json::Object result;
  if (!value.is_object()) return value;
  for (const auto& [key, member] : value.object()) {
    const auto schema =
        std::find_if(schemas.begin(), schemas.end(), [&](const OptionSchema& s) { return s.key == key; });
    if (schema == schemas.end() || !schema->in_key || member.is_null()) continue;
    if (schema->hidden) {
      result.emplace(key, hidden(member));
    } else {
      result.emplace(key, schema->members.empty() ? member : kept(member, schema->members));
    }
  }
  return result;
}

// What the reference counts as: its artifact's digest, and the place in it.
Result<std::string> content_of(const StepKinds& kinds, const Scene& scene, const StepReference& reference) {
  const StepEntry* from = scene.workflow->step(reference.step);
  const Made* made = scene.made_by(reference.step);
  if (!from || !made) return Error{Cause::bug, "step " + reference.step + " is not made yet"};
  const auto output = kinds.at(from->kind)->output(*from, reference.output);
  if (!output) {
    return Error{Cause::bad_workflow,
                 "step '" + from->name + "' (" + from->kind + ") has no output '" + reference.output + "'"};
  }
  const Piece* piece = made->piece(output->piece);
  const std::string& digest = piece ? piece->digest : made->digest;
  return output->path.empty() ? digest : digest + "/" + output->path;
}

std::string shown(const Json& value) {
  if (value.is_null()) return "none";
  if (value.is_string()) return value.string();
  const std::string text = value.dump();
  return text.size() <= 40 ? text : text.substr(0, 37) + "...";
}

void compare(const Json& before, const Json& now, const std::string& path,
             std::vector<std::string>& differences) {
  if (before == now) return;
  if (is_hidden(before) || is_hidden(now)) {
    differences.push_back(path + (before.is_null() ? " is new" : now.is_null() ? " is gone" : " changed"));
    return;
  }
  if (!before.is_object() || !now.is_object()) {
    differences.push_back(path + " " + shown(before) + " -> " + shown(now));
    return;
  }
  const auto below = [&](const std::string& key) { return path.empty() ? key : path + "." + key; };
  for (const auto& [key, value] : now.object()) compare(before.get(key), value, below(key), differences);
  for (const auto& [key, value] : before.object()) {
    if (!now.has(key)) compare(value, Json(), below(key), differences);
  }
}

// "command[2]#1" -> "command[2]"
std::string option_of(const std::string& input) { return input.substr(0, input.find('#')); }

void compare_inputs(const Json& before, const Json& now, const StepEntry& step, const WhyChanged& why,
                    std::vector<std::string>& differences) {
  if (!now.is_object()) return;
  for (const auto& [input, digest] : now.object()) {
    if (before.get(input) == digest) continue;
    const auto reference =
        std::find_if(step.references.begin(), step.references.end(),
                     [&, name = input](const auto& r) { return r.option == option_of(name); });
    const std::string from = reference == step.references.end() ? input : reference->step;
    const std::string because = why(from);
    std::string text = before.has(input) ? "input " + from + " changed" : "input " + from + " is new";
    if (!because.empty()) text += ", because " + because;
    if (std::find(differences.begin(), differences.end(), text) == differences.end())
      differences.push_back(text);
  }
}

}  // namespace

Json options_in_key(const Step& kind, const StepEntry& step) {
  // References first: digests would hide them.
  auto blanked = fill_step_references(
      step.options, [](std::string_view, std::string_view) { return Result<std::string>("${}"); });
  return kept(blanked ? *blanked : step.options, kind.schema().options);
}

Result<Fingerprint> fingerprint(const StepKinds& kinds, const Scene& scene, const FileDigests& files) {
  const StepEntry& step = *scene.step;
  const Step& kind = *kinds.at(step.kind);
  Fingerprint print;
  print.parts["kind"] = step.kind;
  print.parts["version"] = kind.version();
  print.parts["options"] = options_in_key(kind, step);
  Json inputs = Json(Json::Object{});
  for (const StepReference& reference : step.references) {
    TRY(auto content, content_of(kinds, scene, reference));
    std::string name = reference.option;
    for (int n = 1; inputs.has(name); ++n) name = reference.option + "#" + std::to_string(n);
    inputs[name] = content;
  }
  print.parts["inputs"] = inputs;
  Json contents = Json(Json::Object{});
  for (const auto& [path, digest] : files) contents[path] = digest;
  print.parts["files"] = contents;
  TRY(print.parts["extra"], kind.key_extra(scene));
  print.key = digest_of(print.parts.dump());
  if (const auto without = kind.not_in_resume_key(); !without.empty()) {
    Json parts = print.parts;
    for (const std::string& key : without) parts["options"].object().erase(key);
    print.resume_key = digest_of(parts.dump());
  }
  return print;
}

std::string difference(const Json& before, const Json& now, const StepEntry& step, const WhyChanged& why) {
  std::vector<std::string> differences;
  if (before.get("version") != now.get("version") || before.get("kind") != now.get("kind")) {
    differences.push_back("this gnnflow makes it in another way (" + step.kind + ")");
  }
  compare(before.get("options"), now.get("options"), "", differences);
  compare_inputs(before.get("inputs"), now.get("inputs"), step, why, differences);
  if (const Json& files = now.get("files"); files.is_object()) {
    for (const auto& [path, digest] : files.object()) {
      const Json& was = before.get("files").get(path);
      if (was != digest) differences.push_back("file " + path + (was.is_null() ? " is new" : " changed"));
    }
  }
  if (differences.empty() && before.get("extra") != now.get("extra")) {
    differences.push_back("its parts or ranks are laid out differently");
  }
  if (differences.empty() && before != now) differences.push_back("its inputs changed");
  if (differences.size() > 3) {
    const auto more = differences.size() - 3;
    differences.resize(3);
    differences.push_back("and " + std::to_string(more) + " more");
  }
  return join(differences, ", ");
}

}  // namespace gnnflow
