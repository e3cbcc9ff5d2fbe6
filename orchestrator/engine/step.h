// What the engine asks of a kind of step: what goes into its key, which tasks it has, where. Kinds decide;
// the engine acts.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "common/base/file.h"
#include "common/base/json.h"
#include "common/base/result.h"
#include "orchestrator/workflow/workflow.h"

namespace gnnflow {

enum class Nature {
  work,       // tasks that end, pieces that are published
  placement,  // pieces that must lie on hosts
  service,    // tasks that stay up while a later step wants them
};

struct Piece {
  std::string name, digest;
  int64_t bytes = 0;
};

// part -> the hosts that hold it, in the order in which they are to be used
using Holders = std::map<int, std::vector<std::string>>;

// What a finished step offers to later ones.
struct Made {
  std::string digest;         // what it counts as in keys; of a placement and a service: the partition's
  std::vector<Piece> pieces;  // published
  Holders holders;            // of a placement and a service
  Json result;                // what its last task reported
  const Piece* piece(std::string_view name) const;
};

// What a kind may look at when it plans. Everything that the step refers to is made.
struct Scene {
  const Workflow* workflow = nullptr;
  const StepEntry* step = nullptr;
  const std::map<std::string, Made, std::less<>>* made = nullptr;  // by step
  const Made* made_by(std::string_view name) const;
};

// An artifact that a task reads: a published piece, or with an empty name the partition that a placement
// brought.
struct TaskInput {
  std::string name;  // in the spec's `inputs`
  std::string step, piece;
};

// A file or folder of this machine that a task reads on its host.
struct LocalInput {
  std::string name;  // in the spec's `inputs`; empty: staged for exec
  fs::path from;     // absolute
  std::string to;    // exec: the name below files/
};

// What counts by content in a key: under which name, and where it is.
struct ContentPath {
  std::string name;
  fs::path path;
};

struct TaskPlan {
  std::string host, role, program;  // role: "rank 1", "server 0", ""; program: "worker", "trainer", "exec"
  // docs/protocol.md, "Tasks", without token, folder, threads, inputs, stage, checkpoints and resume, which
  // the engine adds; texts may still hold ${steps...}.
  Json spec;
  std::vector<TaskInput> inputs;
  std::vector<LocalInput> local_inputs;
  std::vector<std::string> pieces;  // what it publishes
  // It talks to other tasks over the network: the engine adds the host's data address, `address` in the spec;
  // for exec, where rank 0 is, in its environment.
  bool on_network = false;
  // Cores that it claims of its machine: kAllCores (shared evenly with the attempt's other tasks there),
  // none, or a number.
  int cores = 0;
};
constexpr int kAllCores = -1;

class Step {
 public:
  virtual ~Step() = default;
  virtual const KindSchema& schema() const = 0;
  virtual Nature nature() const { return Nature::work; }
  // Raised when the same options and inputs give another result.
  virtual int version() const { return 1; }
  // Beyond the schema, before anything runs: does every host have what this step needs of it?
  virtual Status check(const Workflow& workflow, const StepEntry& step) const;
  // Where `${steps.<step>.<name>}` lies; nothing when there is no such output.
  std::optional<OutputSchema> output(const StepEntry& step, std::string_view name) const;
  // The step whose service this one needs to be up; empty: none.
  virtual std::string service(const Workflow& workflow, const StepEntry& step) const;

  // What goes into the key beside options and inputs (ranks and their parts); null: nothing.
  virtual Result<Json> key_extra(const Scene& scene) const;
  // Files and folders of this machine that count by content.
  virtual std::vector<ContentPath> content(const Workflow& workflow, const StepEntry& step) const;
  // Options that a resumed attempt may change; empty: attempts cannot be resumed.
  virtual std::vector<std::string> not_in_resume_key() const { return {}; }
  // Of a placement: where the parts shall be.
  virtual Result<Holders> holders(const Scene& scene) const;
  virtual Result<std::vector<TaskPlan>> tasks(const Scene& scene) const;
  // Its tasks are ranks: they meet over the controller and are told the service's addresses.
  virtual bool has_ranks() const { return false; }
  // Its pieces are copied to the controller when it has succeeded.
  virtual bool comes_home() const { return false; }
  // A person wants to know where its result lies: the end of a run says so.
  virtual bool is_told() const { return comes_home(); }
  // One line about the result for a person: "test accuracy 0.8123"; `path` is the first piece on the
  // controller.
  virtual std::string headline(const Made& made, const fs::path& path) const;
};

// By kind. The engine owns none.
using StepKinds = std::map<std::string, const Step*, std::less<>>;

}  // namespace gnnflow
