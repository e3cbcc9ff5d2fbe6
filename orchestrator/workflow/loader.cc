// Reads a workflow file: limits, the YAML parser's events into a tree of ours, then the reader of its
// sections.
#include <algorithm>
#include <map>
#include <optional>
#include <sstream>

#include <fmt/format.h>
#include <yaml-cpp/eventhandler.h>
#include <yaml-cpp/exceptions.h>
#include <yaml-cpp/parser.h>

#include "common/base/text.h"
#include "orchestrator/workflow/flow_scan.h"
#include "orchestrator/workflow/workflow.h"
#include "orchestrator/workflow/workflow_reader.h"
#include "orchestrator/workflow/yaml_node.h"

namespace gnnflow {
namespace {

constexpr int64_t kMostBytes = 1 << 20;
constexpr size_t kDeepest = 32;

TextPlace place_of(const YAML::Mark& mark) { return {mark.line, mark.column}; }

// The text that the scan made safe, with its braces back.
std::string restored(std::string text) {
  for (char& c : text) {
    if (c == kOpenBrace) c = '{';
    if (c == kCloseBrace) c = '}';
  }
  return text;
}

// Thrown through the parser by our handler only, to stop it.
struct TooDeep {
  TextPlace at;
};

// Builds the tree. What YAML allows and a workflow file does not is told here: duplicate keys, anchors,
// aliases, tags.
class TreeBuilder : public YAML::EventHandler {
 public:
  explicit TreeBuilder(Problems& problems) : problems_(problems) {}
  YamlNode take() { return std::move(root_); }

  void OnDocumentStart(const YAML::Mark&) override {}
  void OnDocumentEnd() override {}
  void OnAnchor(const YAML::Mark& mark, const std::string& name) override {
    problems_.add(place_of(mark), fmt::format("anchors are not allowed: '&{}'", name),
                  "params: holds values that are used more than once");
  }
  void OnAlias(const YAML::Mark& mark, YAML::anchor_t) override {
    problems_.add(place_of(mark), "aliases are not allowed",
                  "params: holds values that are used more than once");
    YamlNode node = scalar(mark, "");
    node.broken = true;
    put(std::move(node));
  }
  void OnNull(const YAML::Mark& mark, YAML::anchor_t) override {
    YamlNode node;
    node.at = place_of(mark);
    put(std::move(node));
  }
  void OnScalar(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t,
                const std::string& text) override {
    check_tag(mark, tag);
    YamlNode node = scalar(mark, restored(text));
    node.plain = tag != "!";
    node.in_quotes = tag == "!";
    put(std::move(node));
  }
  void OnSequenceStart(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t,
                       YAML::EmitterStyle::value) override {
    open(mark, tag, YamlNode::Kind::list);
  }
  void OnSequenceEnd() override { close(); }
  void OnMapStart(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t,
                  YAML::EmitterStyle::value) override {
    open(mark, tag, YamlNode::Kind::map);
  }
  void OnMapEnd() override { close(); }

 private:
  struct Open {
    YamlNode node;
    bool has_key = false;
    YamlNode key;
    std::map<std::string, int> lines;  // of the keys so far
  };

  static YamlNode scalar(const YAML::Mark& mark, std::string text) {
    YamlNode node;
    node.kind = YamlNode::Kind::scalar;
    node.at = place_of(mark);
    node.text = std::move(text);
    return node;
  }

  void check_tag(const YAML::Mark& mark, const std::string& tag) {
    if (!tag.empty() && tag != "?" && tag != "!")
      problems_.add(place_of(mark), "tags (`!...`) are not allowed");
  }

  void open(const YAML::Mark& mark, const std::string& tag, YamlNode::Kind kind) {
    check_tag(mark, tag);
    if (open_.size() >= kDeepest) throw TooDeep{place_of(mark)};
    open_.emplace_back();
    open_.back().node.kind = kind;
    open_.back().node.at = place_of(mark);
  }

  void close() {
    YamlNode node = std::move(open_.back().node);
    open_.pop_back();
    put(std::move(node));
  }

  void put(YamlNode node) {
    if (open_.empty()) {
      root_ = std::move(node);
      return;
    }
    Open& parent = open_.back();
    if (parent.node.kind == YamlNode::Kind::list) {
      parent.node.items.push_back(std::move(node));
    } else if (!parent.has_key) {
      parent.has_key = true;
      parent.key = std::move(node);
    } else {
      parent.has_key = false;
      put_member(parent, std::move(parent.key), std::move(node));
    }
  }

  void put_member(Open& parent, YamlNode key, YamlNode value) {
    if (value.kind == YamlNode::Kind::null)
      value.at = key.at;  // the parser's place is that of the next token
    if (key.kind != YamlNode::Kind::scalar) {
      problems_.add(key.at, fmt::format("a key must be a word, not {}", describe(key)));
      return;
    }
    if (key.text.find("${") != std::string::npos) {
      problems_.add(key.at, fmt::format("a key cannot hold a reference: '{}'", key.text));
      return;
    }
    auto [known, fresh] = parent.lines.emplace(key.text, key.at.line + 1);
    if (!fresh) {
      problems_.add(key.at,
                    fmt::format("duplicate key '{}'; the first is on line {}", key.text, known->second));
      return;
    }
    parent.node.members.emplace_back(std::move(key), std::move(value));
  }

  Problems& problems_;
  YamlNode root_;
  std::vector<Open> open_;
};

// The parser's words where ours are clearer.
std::string told(const std::string& message) {
  if (message == "illegal map value")
    return "not YAML: a ':' with a space after it cannot stand here; is the indentation right?";
  if (message == "end of map flow not found")
    return "not YAML: a '{' before this is never closed, or a ',' is missing";
  if (message == "end of sequence flow not found")
    return "not YAML: a '[' before this is never closed, or a ',' is missing";
  if (message == "end of map not found")
    return "not YAML: this line does not fit the map above it; is the indentation right?";
  if (message == "end of sequence not found")
    return "not YAML: this line does not fit the list above it; is the indentation right?";
  if (message == "illegal flow end") return "not YAML: this closes nothing, or not what was opened last";
  if (message == "the referenced anchor is not defined") return "aliases are not allowed";
  return "not YAML: " + message;
}

// The last line that has something, when the parser's place is the end of the file.
TextPlace shown_place(const YAML::Mark& mark, std::string_view text) {
  if (mark.is_null()) return {0, 0};
  if (static_cast<size_t>(mark.pos) < text.size()) return place_of(mark);
  size_t last = text.find_last_not_of(" \t\r\n");
  if (last == std::string_view::npos) return {0, 0};
  size_t begin = text.rfind('\n', last);
  size_t line_begin = begin == std::string_view::npos ? 0 : begin + 1;
  int line =
      static_cast<int>(std::count(text.begin(), text.begin() + static_cast<std::ptrdiff_t>(last), '\n'));
  return {line, static_cast<int>(last - line_begin)};
}

// YAML has no tabs before the first word of a line; the parser says so in many ways, none of them clear.
void refuse_tabs(std::string_view text, Problems& problems) {
  int line = 0;
  for (size_t at = 0; at < text.size(); ++line) {
    size_t first = text.find_first_not_of(' ', at), end = text.find('\n', at);
    if (end == std::string_view::npos) end = text.size();
    if (first < end && text[first] == '\t' && !trimmed(text.substr(first, end - first)).empty()) {
      problems.add({line, static_cast<int>(first - at)}, "a tab cannot indent a line: use spaces");
    }
    at = end + 1;
  }
}

std::optional<YamlNode> parse_document(const std::string& text, Problems& problems) {
  size_t before = problems.count();
  std::string safe = scan_flow(text, problems);
  std::istringstream stream(safe);
  TreeBuilder builder(problems);
  try {
    YAML::Parser parser(stream);
    if (!parser.HandleNextDocument(builder)) {
      problems.add({0, 0}, "the file is empty", "a workflow begins with: gnnflow: 1");
      return std::nullopt;
    }
    YamlNode document = builder.take();
    TreeBuilder second(problems);
    if (parser.HandleNextDocument(second)) {
      problems.add(second.take().at, "only one document may be in the file",
                   "remove the line `---` and what follows it");
    }
    return document;
  } catch (const TooDeep& deep) {
    problems.add(deep.at, fmt::format("nested deeper than {} levels", kDeepest));
  } catch (const YAML::Exception& exception) {
    if (problems.count() == before) refuse_tabs(text, problems);
    // What we have told ourselves, as an unclosed quote, is what the parser stumbled over.
    if (problems.count() == before) problems.add(shown_place(exception.mark, safe), told(exception.msg));
  }
  return std::nullopt;
}

// UTF-8 as JSON and databases want it: no overlong forms, no surrogates.
bool is_utf8(std::string_view text) {
  for (size_t at = 0; at < text.size();) {
    auto byte = [&](size_t i) {
      return at + i < text.size() ? static_cast<unsigned char>(text[at + i]) : 0u;
    };
    unsigned first = byte(0);
    size_t length = first < 0x80 ? 1 : first >> 5 == 6 ? 2 : first >> 4 == 14 ? 3 : first >> 3 == 30 ? 4 : 0;
    if (length == 0) return false;
    unsigned code = length == 1 ? first : first & (0x7Fu >> length);
    for (size_t i = 1; i < length; ++i) {
      if ((byte(i) & 0xC0u) != 0x80u) return false;
      code = code << 6 | (byte(i) & 0x3Fu);
    }
    constexpr unsigned kLeast[] = {0, 0, 0x80, 0x800, 0x10000};
    if (code < kLeast[length] || code > 0x10FFFF || (code >= 0xD800 && code < 0xE000)) return false;
    at += length;
  }
  return true;
}

std::optional<std::string> unfit_text(std::string_view text) {
  if (static_cast<int64_t>(text.size()) > kMostBytes) return "larger than 1 MiB: this is no workflow";
  if (!is_utf8(text)) return "not UTF-8 text";
  for (char c : text) {
    auto code = static_cast<unsigned char>(c);
    if ((code < 0x20 && c != '\n' && c != '\r' && c != '\t') || code == 0x7F)
      return fmt::format("holds the control character 0x{:02x}", code);
  }
  return std::nullopt;
}

Result<std::string> read_text(const fs::path& file) {
  std::error_code failed;
  if (fs::is_directory(file, failed)) {
    return Error{Cause::not_found, fmt::format("{}: is a folder, not a workflow file", file.string())};
  }
  uintmax_t bytes = fs::file_size(file, failed);
  if (failed) return Error{Cause::not_found, fmt::format("{}: no such workflow file", file.string())};
  if (bytes > static_cast<uintmax_t>(kMostBytes)) {
    return Error{Cause::bad_workflow,
                 fmt::format("{}: larger than 1 MiB: this is no workflow", file.string())};
  }
  TRY(std::string text, read_file(file, kMostBytes + 1));
  if (text.starts_with("\xEF\xBB\xBF")) text.erase(0, 3);
  if (std::optional<std::string> unfit = unfit_text(text)) {
    return Error{Cause::bad_workflow, fmt::format("{}: {}", file.string(), *unfit)};
  }
  return text;
}

}  // namespace

Result<Workflow> load_workflow(const fs::path& file, const LoadOptions& options) {
  TRY(std::string text, read_text(file));
  Problems problems(file.string(), text);
  std::optional<YamlNode> document = parse_document(text, problems);
  if (!document) return problems.error();
  TRY(Workflow workflow, read_workflow(std::move(*document), options, problems));
  if (!problems.empty()) return problems.error();
  std::error_code failed;
  workflow.file = fs::absolute(file, failed).lexically_normal();
  return workflow;
}

Result<std::string> read_workflow_name(const fs::path& file) {
  TRY(std::string text, read_text(file));
  Problems problems(file.string(), text);
  std::optional<YamlNode> document = parse_document(text, problems);
  const YamlNode* name = document ? document->find("name") : nullptr;
  if (name && name->kind == YamlNode::Kind::scalar && is_name(name->text)) return name->text;
  if (!problems.empty()) return problems.error();
  return Error{Cause::bad_workflow, fmt::format("{}: has no usable `name:`", file.string())};
}

}  // namespace gnnflow
