// What a run looks like: plain lines, live lines as a terminal would show them, NDJSON.
#include <gtest/gtest.h>

#include "common/base/text.h"
#include "orchestrator/view/terminal.h"

namespace gnnflow {
namespace {

class MovedClock final : public Clock {
 public:
  Monotonic now() const override { return Monotonic(at); }
  int64_t unix_milliseconds() const override { return 1'000'000 + at.count(); }
  Milliseconds at{60'000};
};

// As much of a terminal as the views use: lines, cursor up, carriage return, clearing to the end.
class Screen {
 public:
  explicit Screen(size_t width) : width_(width) {}
  void write(std::string_view text) {
    ++writes;
    for (size_t i = 0; i < text.size(); ++i) {
      if (text[i] == '\x1b') {
        size_t end = text.find_first_of("AJm", i);
        if (text[end] == 'A')
          row_ -= static_cast<size_t>(std::stoi(std::string(text.substr(i + 2, end - i - 2))));
        if (text[end] == 'J') lines_.resize(row_);
        i = end;
      } else if (text[i] == '\n') {
        line();
        ++row_;
      } else if (text[i] != '\r') {
        line() += text[i];
        EXPECT_LT(line().size(), width_) << "a line would wrap: " << line();
      }
    }
  }
  std::string text() const { return join(lines_, "\n"); }
  int writes = 0;

 private:
  std::string& line() {
    if (lines_.size() <= row_) lines_.resize(row_ + 1);
    return lines_[row_];
  }
  size_t width_, row_ = 0;
  std::vector<std::string> lines_;
};

struct Shown {
  explicit Shown(int columns = 80, int rows = 24) : screen(static_cast<size_t>(columns)) {
    setup.talk = [this](std::string_view text) { talk += text, screen.write(text); };
    setup.data = [this](std::string_view text) { data += text; };
    setup.clock = &clock;
    setup.size = [=] { return TerminalSize{columns, rows}; };
  }
  MovedClock clock;
  Screen screen;
  std::string talk, data;
  ViewSetup setup;
};

void play_short_run(RunObserver& view) {
  view.run_began(3, "tiny", 2);
  view.note("host a answers again");
  view.step_news({"graph", "generate", "cached", "nothing changed", 0});
  view.step_news({"model", "train", "running", "epochs 2 -> 4", 0});
  view.step_progress("model", "rank 0", {"epoch 3", 5, 10, "batches", "loss 1.21"});
  view.step_news({"model", "train", "failed", "rank 1 on node2: killed by signal 9", 12.34});
  view.failure("model", "rank 1 on node2: killed by signal 9",
               "first\nsec\x1b[31mon\xC3\xA9\xC2\x9B\xFF\n\n");
  view.run_ended(1, "failed: model");
}

TEST(PlainView, GivesOneLinePerChangeOfState) {
  Shown shown;
  play_short_run(*make_plain_view(shown.setup));
  EXPECT_EQ(shown.talk,
            "run 3 of tiny: 2 steps\n"
            "host a answers again\n"
            "graph: cached: nothing changed\n"
            "model: running: epochs 2 -> 4\n"
            "model: failed after 12.3s: rank 1 on node2: killed by signal 9\n"
            "  the end of the log of model:\n"
            "  | first\n"
            "  | sec?[31mon\xC3\xA9??\n");
  EXPECT_EQ(shown.data, "failed: model\n");
}

TEST(PlainView, TellsAFailureThatTheNewsDidNotTell) {
  Shown shown;
  auto view = make_plain_view(shown.setup);
  view->failure("model", "servers: server 0 on node1: killed by signal 9", "");
  view->failure("", "the store cannot be written: disk full", "");
  EXPECT_EQ(
      shown.talk,
      "model: servers: server 0 on node1: killed by signal 9\nthe store cannot be written: disk full\n");
}

TEST(PlainView, ColoursOnlyWhenTold) {
  Shown shown;
  shown.setup.colour = true;
  make_plain_view(shown.setup)->step_news({"graph", "generate", "succeeded", "", 1.5});
  EXPECT_EQ(shown.talk, "graph: \x1b[32msucceeded\x1b[0m after 1.5s\n");
}

TEST(LiveView, ShowsALineForEachRunningStepBelowTheOthers) {
  Shown shown;
  auto view = make_live_view(shown.setup);
  view->run_began(1, "tiny", 3);
  view->step_news({"model", "train", "running", "", 0});
  view->step_news({"control", "train", "running", "", 0});
  view->step_progress("model", "rank 0", {"epoch 1", 0, 100, "batches", ""});
  view->step_progress("model", "rank 1", {"epoch 1", 0, 100, "batches", ""});
  shown.clock.at += Milliseconds(10'000);
  view->step_progress("model", "rank 0", {"epoch 1", 60, 100, "batches", "loss 1.2"});
  view->step_progress("model", "rank 1", {"epoch 1", 40, 100, "batches", "loss 1.3"});
  shown.clock.at += Milliseconds(100);
  view->tick();
  EXPECT_EQ(shown.screen.text(),
            "run 1 of tiny: 3 steps\n"
            "model: running\n"
            "control: running\n"
            "model  [##########..........]   50 %  epoch 1  10s  ETA 11s  9.9 batches/s\n"
            "control  10s");
  view->step_news({"model", "train", "succeeded", "val 0.71", 10.1});
  view->run_ended(0, "done");
  EXPECT_EQ(shown.screen.text(),
            "run 1 of tiny: 3 steps\n"
            "model: running\n"
            "control: running\n"
            "model: succeeded after 10.1s: val 0.71");
  EXPECT_EQ(shown.data, "done\n");
}

TEST(LiveView, CountsOverAllEpochsOfATraining) {
  Shown shown;
  auto view = make_live_view(shown.setup);
  view->step_news({"model", "train", "running", "", 0});
  view->step_progress("model", "rank 0", {"epoch 1 of 2", 0, 200, "batches", ""});
  shown.clock.at += Milliseconds(10'000);
  view->step_progress("model", "rank 0", {"epoch 1 of 2", 100, 200, "batches", ""});
  shown.clock.at += Milliseconds(100);
  view->step_progress("model", "rank 0", {"epoch 2 of 2", 101, 200, "batches", ""});
  EXPECT_EQ(shown.screen.text(),
            "model: running\nmodel  [##########..........]   50 %  epoch 2 of 2  10s  ETA 10s  10 batches/s");
}

TEST(LiveView, RedrawsAtMostTenTimesASecond) {
  Shown shown;
  auto view = make_live_view(shown.setup);
  view->step_news({"model", "train", "running", "", 0});
  int before = shown.screen.writes;
  for (int i = 0; i < 1000; ++i) {
    shown.clock.at += Milliseconds(1);
    view->step_progress("model", "rank 0", {"epoch 1", i, 1000, "batches", ""});
    view->tick();
  }
  EXPECT_GE(shown.screen.writes - before, 9);
  EXPECT_LE(shown.screen.writes - before, 10);
}

TEST(LiveView, NeverWrapsOnANarrowTerminal) {
  for (int columns : {1, 2, 5, 12, 25, 40, 59, 60, 100}) {
    Shown shown(columns);
    std::string drawn;
    shown.setup.talk = [&](std::string_view text) { drawn = text; };
    auto view = make_live_view(shown.setup);
    view->step_news({"a-step-with-a-long-name", "train", "running", "", 0});
    shown.clock.at += Milliseconds(5000);
    view->step_progress("a-step-with-a-long-name", "",
                        {"a long phase that says much", 500, 1000, "edges", "and a long note"});
    size_t begin = drawn.rfind("\x1b[J");
    ASSERT_NE(begin, std::string::npos);
    for (const std::string& line : split(drawn.substr(begin + 3), '\n')) {
      EXPECT_LT(static_cast<int>(line.size()), std::max(2, columns)) << line;
    }
  }
}

TEST(LiveView, FitsTheHeightOfTheTerminal) {
  Shown shown(80, 6);
  std::string drawn;
  shown.setup.talk = [&](std::string_view text) { drawn = text; };
  auto view = make_live_view(shown.setup);
  for (int i = 0; i < 10; ++i) view->step_news({"s" + std::to_string(i), "exec", "running", "", 0});
  shown.clock.at += Milliseconds(1000);
  view->tick();
  EXPECT_EQ(drawn, "\x1b[4A\r\x1b[Js0  1s\ns1  1s\ns2  1s\nand 7 more running\n");
}

TEST(JsonView, GivesOneObjectPerEventWithItsSchemaVersion) {
  Shown shown;
  play_short_run(*make_json_view(shown.setup));
  EXPECT_EQ(shown.talk, "");
  std::vector<std::string> events;
  for (const std::string& line : split(std::string(trimmed(shown.data)), '\n')) {
    Result<Json> event = Json::parse(line);
    ASSERT_TRUE(event) << line;
    EXPECT_EQ(event->get("schema"), Json(1)) << line;
    EXPECT_EQ(event->get("time_ms"), Json(1'060'000)) << line;
    events.push_back(event->text_or("event", ""));
  }
  EXPECT_EQ(events, (std::vector<std::string>{"run_began", "note", "step", "step", "progress", "step",
                                              "failure", "run_ended"}));
  EXPECT_NE(shown.data.find(R"("exit_code":1)"), std::string::npos);
}

TEST(JsonView, OfARunThatCouldNotBeginBeginsItBeforeItsEnd) {
  Shown shown;
  shown.setup.workflow = "flow";
  auto view = make_json_view(shown.setup);
  view->failure("", "no such file x", "");
  view->run_ended(4, "failed before anything ran");
  const std::vector<std::string> lines = split(std::string(trimmed(shown.data)), '\n');
  ASSERT_EQ(lines.size(), 3u) << shown.data;
  Json began = Json::parse(lines[1]).value_or(Json());
  EXPECT_EQ(began.get("event"), Json("run_began"));
  EXPECT_EQ(began.get("run"), Json(0));
  EXPECT_EQ(began.get("workflow"), Json("flow"));
  EXPECT_EQ(Json::parse(lines[2]).value_or(Json()).get("event"), Json("run_ended"));
}

}  // namespace
}  // namespace gnnflow
