// A folder that is whole or not there: written beside its place, then renamed.
#pragma once

#include "common/base/file.h"
#include "common/base/result.h"

namespace gnnflow {

// Dropped before publish(): nothing is left.
class NewFolder {
 public:
  // `target` must not exist, the folder that it will stand in must.
  static Result<NewFolder> create(const fs::path& target);
  NewFolder() = default;
  NewFolder(NewFolder&& other) noexcept;
  NewFolder& operator=(NewFolder&& other) noexcept;
  ~NewFolder();

  const fs::path& path() const { return temporary_; }  // "<target>.tmp-<random>"
  Status publish();                                    // everything synced, then renamed

 private:
  fs::path target_, temporary_;
};

}  // namespace gnnflow
