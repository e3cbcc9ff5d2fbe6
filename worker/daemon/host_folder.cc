// Places in a host entry's folder, and the checks on names that come in messages.
#include "worker/daemon/host_folder.h"

#include <fmt/format.h>

#include "common/base/text.h"

namespace gnnflow {
namespace {

constexpr size_t kLongestToken = 200;  // a file's name has 255 bytes, and ".log" and ".tmp-…" come after it

}  // namespace

bool is_token(std::string_view text) {
  if (text.empty() || text.size() > kLongestToken) return false;
  for (const std::string& word : split(text, '.')) {
    if (!is_name(word)) return false;
  }
  return true;
}

Status check_token(std::string_view text) {
  if (is_token(text)) return {};
  return Error{Cause::bad_data, fmt::format("'{}' is no token", text.substr(0, kLongestToken))};
}

Status HostFolder::make() const {
  TRY(create_folders(root));
  for (const char* name : {"tmp", "logs", "outputs", "checkpoints", "data", "incoming"}) {
    TRY(create_folders(root / name));
  }
  return {};
}

Status HostFolder::clear_tmp() const {
  std::error_code error;
  Status first;
  for (fs::directory_iterator entry(tmp(), error), end; !error && entry != end; entry.increment(error)) {
    Status removed = remove_tree(entry->path());
    if (first) first = std::move(removed);
  }
  return first;
}

bool HostFolder::is_leftover(std::string_view name) const {
  return name.starts_with("trash-") || name.starts_with(journal().filename().string() + ".tmp-");
}

Status HostFolder::remove_leftovers() const {
  std::error_code error;
  Status first;
  for (fs::directory_iterator entry(root, error), end; !error && entry != end; entry.increment(error)) {
    if (!is_leftover(entry->path().filename().string())) continue;
    Status removed = remove_tree(entry->path());
    if (first) first = std::move(removed);
  }
  return first;
}

}  // namespace gnnflow
