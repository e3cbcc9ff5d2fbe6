// The folder of one host entry: where everything of its daemon lies, and the only place that paths from
// messages may name: path_below(root, path).
#pragma once

#include <string>
#include <string_view>

#include "common/base/file.h"
#include "common/base/result.h"

namespace gnnflow {

// A token names (store, run, step, attempt, task): dots between words of [A-Za-z0-9_-].
bool is_token(std::string_view text);
Status check_token(std::string_view text);

// A plain value. Folders are made by make().
struct HostFolder {
  fs::path root;

  fs::path lock() const { return root / "lock"; }
  fs::path journal() const { return root / "journal"; }
  fs::path daemon_log() const { return root / "daemon.log"; }
  fs::path tmp() const { return root / "tmp"; }
  fs::path checkpoints() const { return root / "checkpoints"; }
  // REQUIRES: is_token(token), here and below.
  fs::path job(std::string_view token) const { return tmp() / token; }
  fs::path task_file(std::string_view token) const { return job(token) / "task.json"; }
  fs::path alive(std::string_view token) const { return job(token) / "alive"; }
  fs::path log(std::string_view token) const { return root / "logs" / (std::string(token) + ".log"); }

  Status make() const;
  // What cannot be removed keeps nothing else; the first such error.
  Status clear_tmp() const;
  Status remove_leftovers() const;
  // What an unfinished removal or writing of the journal has left.
  bool is_leftover(std::string_view name) const;
};

}  // namespace gnnflow
