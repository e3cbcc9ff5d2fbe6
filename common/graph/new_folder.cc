// A folder written under a temporary name and renamed once.
#include "common/graph/new_folder.h"

#include <fmt/format.h>

namespace gnnflow {

Result<NewFolder> NewFolder::create(const fs::path& target) {
  std::error_code ignored;
  const fs::path place = fs::absolute(target, ignored).lexically_normal();
  const fs::path clean = place.has_filename() ? place : place.parent_path();
  if (fs::exists(fs::symlink_status(clean, ignored))) {
    return Error{Cause::bad_usage,
                 fmt::format("{} exists already: remove it or choose another folder", target.string())};
  }
  if (!fs::is_directory(clean.parent_path(), ignored)) {
    return Error{Cause::not_found, fmt::format("{}: no such folder to write {} into",
                                               clean.parent_path().string(), clean.filename().string())};
  }
  NewFolder folder;
  folder.target_ = clean;
  TRY(folder.temporary_, make_temporary_folder(clean));
  return folder;
}

NewFolder::NewFolder(NewFolder&& other) noexcept
    : target_(std::move(other.target_)), temporary_(std::move(other.temporary_)) {
  other.temporary_.clear();
}

NewFolder& NewFolder::operator=(NewFolder&& other) noexcept {
  std::swap(target_, other.target_);
  std::swap(temporary_, other.temporary_);
  return *this;
}

NewFolder::~NewFolder() {
  // What cannot be removed stays as "*.tmp-*", which nothing reads.
  if (!temporary_.empty()) (void)remove_tree(temporary_);
}

Status NewFolder::publish() {
  TRY(sync_tree(temporary_));
  TRY(rename_durably(temporary_, target_).within("publishing"));
  temporary_.clear();
  return {};
}

}  // namespace gnnflow
