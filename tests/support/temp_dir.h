// A folder of its own for a test, removed with all that is in it.
#pragma once

#include <cstdlib>
#include <string>
#include <string_view>

#include <gtest/gtest.h>

#include "common/base/file.h"

namespace gnnflow {

class TempDir {
 public:
  TempDir() {
    const char* base = std::getenv("TMPDIR");
    Result<fs::path> made = make_temporary_folder(fs::path(base && *base ? base : "/tmp") / "gnnflow-test");
    if (!made) bug(made.error().message);
    path_ = *made;
  }
  TempDir(const TempDir&) = delete;
  TempDir& operator=(const TempDir&) = delete;
  ~TempDir() {
    if (Status removed = remove_tree(path_); !removed) ADD_FAILURE() << removed.error().message;
  }

  const fs::path& path() const { return path_; }
  fs::path operator/(std::string_view name) const { return path_ / name; }

  // A file in it with this content, for tests that need one.
  fs::path file(std::string_view name, std::string_view content) const {
    fs::path made = path_ / name;
    Status status = create_folders(made.parent_path());
    if (status) status = write_file_atomically(made, content);
    if (!status) bug(status.error().message);
    return made;
  }

 private:
  fs::path path_;
};

}  // namespace gnnflow
