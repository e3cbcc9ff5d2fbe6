// Events as NDJSON: one object a line, each with its schema version and time.
#include "orchestrator/view/terminal.h"

namespace gnnflow {
namespace {

constexpr int64_t kSchema = 1;

class JsonView final : public RunObserver {
 public:
  explicit JsonView(ViewSetup setup) : setup_(std::move(setup)) {}

  void run_began(int64_t run, std::string_view workflow, int steps) override {
    began_ = true;
    put("run_began", {{"run", run}, {"workflow", workflow}, {"steps", steps}});
  }
  void step_news(const StepNews& news) override {
    put("step", {{"step", news.step},
                 {"kind", news.kind},
                 {"what", news.what},
                 {"detail", news.detail},
                 {"seconds", news.seconds}});
  }
  void step_progress(std::string_view step, std::string_view task, const Progress& progress) override {
    put("progress", {{"step", step}, {"task", task}, {"progress", progress.to_json()}});
  }
  void note(std::string_view text) override { put("note", {{"text", text}}); }
  void failure(std::string_view step, std::string_view message, std::string_view tail) override {
    put("failure", {{"step", step}, {"message", message}, {"tail", tail}});
  }
  void tick() override {}
  // What could not even begin has no number: readers find the same first and last event all the same.
  void run_ended(int exit_code, std::string_view summary) override {
    if (!began_) run_began(0, setup_.workflow, 0);
    put("run_ended", {{"exit_code", exit_code}, {"summary", summary}});
  }

 private:
  void put(std::string_view event, Json::Object members) {
    members["schema"] = kSchema;
    members["event"] = event;
    members["time_ms"] = setup_.clock->unix_milliseconds();
    setup_.data(Json(std::move(members)).dump() + "\n");
  }

  ViewSetup setup_;
  bool began_ = false;
};

}  // namespace

std::unique_ptr<RunObserver> make_json_view(ViewSetup setup) {
  return std::make_unique<JsonView>(std::move(setup));
}

}  // namespace gnnflow
