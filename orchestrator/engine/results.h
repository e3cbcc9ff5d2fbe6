// Short and stable names for the newest results: links in the state folder.
#pragma once

#include <string_view>

#include "common/base/file.h"
#include "common/base/result.h"

namespace gnnflow {

struct ResultLink {
  fs::path path;
  bool moved = false;  // it named something else
};

// Makes `<state>/results/<name>` a link to `output`, in the place of the one that was there.
// `controller_root` is `<state>/<store id>/controller`. REQUIRES: `output` lies below it.
Result<ResultLink> link_result(const fs::path& controller_root, std::string_view name,
                               const fs::path& output);

}  // namespace gnnflow
