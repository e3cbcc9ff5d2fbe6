// The command line as words turned into what is wanted. The one user of CLI11.
#pragma once

#include <string>
#include <vector>

#include "common/base/file.h"
#include "common/base/result.h"

namespace gnnflow {

enum class ColourMode { automatic, always, never };

struct CommandLine {
  std::string command;  // "run", ...; "help" and "version" too
  std::string text;     // of help
  fs::path file;        // empty: not said
  fs::path state;       // empty: not said
  std::vector<std::string> set;
  bool json = false;
  bool exit_code = false;
  bool verify = false;
  bool detach = false;  // of run and retry
  bool watch = false;   // of status
  bool follow = false;  // of logs
  ColourMode colour = ColourMode::automatic;
  int64_t run = 0;  // 0: the last
  std::string step;
  std::vector<std::string> steps;     // of retry; empty: all
  int task = -1;                      // -1: not said
  std::string action;                 // of hosts: "trust", "check", "list"
  std::vector<std::string> hosts;     // of hosts trust; empty: all
  bool yes = false;                   // of hosts trust: without asking
  bool dry_run = false, all = false;  // of gc
  int keep = 1;                       // of gc: how many results of each step
  std::vector<std::string> rest;      // of graph and partition: what follows, untouched
};

// `arguments` without the program's name. What is wrong is bad_usage.
Result<CommandLine> parse_command_line(const std::vector<std::string>& arguments);

}  // namespace gnnflow
