// What a run does: decides, starts, publishes, fails, tries again.
#include <algorithm>
#include <atomic>
#include <future>

#include <gtest/gtest.h>

#include "orchestrator/engine/run_loop.h"
#include "orchestrator/store/store_reader.h"
#include "tests/orchestrator/engine/engine_bench.h"

namespace gnnflow {
namespace {

using Lines = std::vector<std::string>;

// Steps `a` and `b: reads a`; every job makes a thing that says its step and value.
class Engine : public ::testing::Test {
 protected:
  void SetUp() override {
    bench.host().on_start([this](const Json& order) { return script(order); });
  }
  FakeJob script(const Json& order) {
    const Json& spec = order.get("spec");
    const std::string name = spec.text_or("step", "");
    if (const auto found = special.find(name); found != special.end()) return found->second;
    return makes("thing", name + spec.get("options").get("value").dump());
  }
  void add_two() {
    bench.add("a", "make", {{"value", 1}});
    bench.add("b", "make", {{"input", "${steps.a}"}});
  }
  void stop_after(int turns) {  // one waits for what does not come
    bench.on_tick = [this, turns, turn = 0]() mutable {
      if (++turn > turns) bench.stop.raise(Cause::interrupted);
    };
  }
  EngineBench bench;
  std::map<std::string, FakeJob> special;  // by step
};

TEST_F(Engine, RunsStepsInOrderThenDoesNothing) {
  add_two();
  EXPECT_EQ(bench.run(), 0);
  EXPECT_EQ(bench.observer.lines_with("b "), (Lines{"b running: for the first time", "b succeeded"}));
  EXPECT_EQ(bench.last("b").state, AttemptState::succeeded);
  EXPECT_EQ(bench.host().daemons_started(), 1);
  EXPECT_FALSE(*bench.host().daemon_alive());

  const size_t orders = bench.host().orders().size();
  EXPECT_EQ(bench.run(), 0);
  EXPECT_EQ(bench.observer.lines_with("end 0").back(), "end 0: nothing to do");
  EXPECT_EQ(bench.host().orders().size(), orders);
  EXPECT_EQ(bench.host().daemons_started(), 1);
}

TEST_F(Engine, GivesEachTaskThePathsOfWhatItReads) {
  add_two();
  bench.step("b").options["more"] = "see ${steps.a.inside}";
  bench.step("b").references.push_back({"a", "inside", "more"});
  Json spec;
  bench.host().on_start([&](const Json& order) {
    spec = order.get("spec");
    return script(order);
  });
  ASSERT_EQ(bench.run(), 0);
  const fs::path thing = bench.host().root() / "outputs/a" / bench.last("a").key / "1/thing";
  EXPECT_EQ(spec.get("options").text_or("input", ""), thing.string());
  EXPECT_EQ(spec.get("options").text_or("more", ""), "see " + (thing / "content").string());
  EXPECT_EQ(spec.text_or("folder", ""), (bench.host().root() / "tmp" / spec.text_or("token", "")).string());
}

TEST_F(Engine, SaysWhatChangedAndWhyThatMatters) {
  add_two();
  ASSERT_EQ(bench.run(), 0);
  bench.step("a").options["value"] = 2;
  EXPECT_EQ(bench.plan(), (Lines{"a run: value 1 -> 2", "b may run: waits for a"}));
  ASSERT_EQ(bench.run(), 0);
  EXPECT_EQ(bench.last("a").reason, "value 1 -> 2");
  EXPECT_EQ(bench.last("b").reason, "input a changed, because value 1 -> 2");
}

TEST_F(Engine, AnUnchangedOutputCutsOffWhatFollows) {
  add_two();
  special["a"] = makes("thing", "always the same");
  ASSERT_EQ(bench.run(), 0);
  bench.step("a").options["value"] = 2;
  ASSERT_EQ(bench.run(), 0);
  EXPECT_EQ(bench.last("a").number, 2);
  EXPECT_EQ(bench.last("b").number, 1);
  EXPECT_EQ(bench.observer.lines_with("b cached").size(), 1u);
}

TEST_F(Engine, MakesAgainWhatWasRemovedOrCut) {
  add_two();
  ASSERT_EQ(bench.run(), 0);
  const fs::path thing = bench.host().root() / "outputs/a" / bench.last("a").key / "1/thing";
  ASSERT_TRUE(write_file_atomically(thing / "content", "x"));
  ASSERT_EQ(bench.run(), 0);
  EXPECT_EQ(bench.last("a").reason,
            "output thing changed on controller: file content has 1 bytes instead of 2");
  fs::remove_all(bench.host().root() / "outputs/a");
  ASSERT_EQ(bench.run(), 0);
  EXPECT_EQ(bench.last("a").reason, "output thing removed on controller");
  EXPECT_EQ(bench.last("b").number, 1);  // the same thing again
}

TEST_F(Engine, AFileThatChangedIsAReason) {
  bench.add("a", "make", {{"file", "script.py"}});
  bench.folder.file("script.py", "one");
  ASSERT_EQ(bench.run(), 0);
  ASSERT_EQ(bench.run(), 0);
  EXPECT_EQ(bench.last("a").number, 1);
  bench.folder.file("script.py", "two and more");
  ASSERT_EQ(bench.run(), 0);
  EXPECT_EQ(bench.last("a").reason, "file script.py changed");
}

TEST_F(Engine, AMissingFileIsToldBeforeAnythingRuns) {
  StepEntry& step = bench.add("a", "make", {{"file", "none.py"}});
  step.line = 7;
  step.column = 5;
  EXPECT_EQ(bench.run(), exit_code(Cause::not_found));
  const std::string place = (bench.folder / "none.py").string();
  EXPECT_EQ(bench.observer.lines_with("failure"),
            (Lines{"failure : " + bench.workflow.file.string() + ":7:5: step 'a': its input " + place +
                   " does not exist"}));
  EXPECT_EQ(bench.observer.lines_with("end 4"), Lines{"end 4: failed before anything ran"});
  EXPECT_EQ(bench.host().daemons_started(), 0);
}

TEST_F(Engine, AFailureEndsTheOthersAndShowsItsCauseAndLog) {
  bench.add("slow", "make");
  bench.add("bad", "make");
  bench.add("after", "make", {{"input", "${steps.bad}"}});
  special["slow"] = goes_on();
  special["bad"] = fails(Cause::bad_data, "indices.npy: cut short");
  EXPECT_EQ(bench.run(), 12);
  EXPECT_EQ(bench.observer.lines_with("failure"),
            (Lines{"failure bad: its task on controller: indices.npy: cut short (exit code 12)"}));
  EXPECT_EQ(bench.observer.tails(), Lines{"last words"});
  EXPECT_EQ(bench.last("slow").state, AttemptState::cancelled);
  EXPECT_EQ(bench.last("bad").state, AttemptState::failed);
  EXPECT_EQ(bench.last("bad").cause, "bad_data");
  EXPECT_EQ(bench.last("after").id, 0);
  EXPECT_TRUE(bench.host().running().empty());
  EXPECT_FALSE(fs::exists(bench.host().root() / "tmp" / ("old")));
}

TEST_F(Engine, WhatAFailureLeavesUndoneSaysSo) {
  bench.add("slow", "make");
  bench.add("bad", "make");
  bench.add("after", "make", {{"input", "${steps.bad}"}});
  bench.add("last", "make", {{"input", "${steps.after}"}});
  special["slow"] = goes_on();
  special["bad"] = fails(Cause::failed, "no luck");
  EXPECT_EQ(bench.run(), 1);
  EXPECT_EQ(bench.observer.lines_with("after"), Lines{"after skipped: not begun: 'bad' failed"});
  for (const char* name : {"after", "last"}) {
    EXPECT_EQ(bench.status_of(name).state, StepState::skipped);
    EXPECT_EQ(bench.status_of(name).row.reason, "not begun: 'bad' failed");
  }
  EXPECT_EQ(bench.last("slow").message, "'bad' failed");
}

TEST_F(Engine, WhatAnEndLeavesUndoneSaysWhoEndedIt) {
  add_two();
  special["a"] = goes_on();
  bench.on_tick = [&] {
    if (!bench.host().running().empty()) bench.stop.raise(Cause::interrupted);
  };
  EXPECT_EQ(bench.run(), 130);
  EXPECT_EQ(bench.status_of("b").row.reason, "not begun: stopped by a signal");
}

// Else `weak`, the first in the file, would take the cores and end the run each time.
TEST_F(Engine, AStepThatHasFailedGivesWayToOneThatWaits) {
  bench.add("weak", "make", {{"cores", 2}});
  bench.add("other", "make", {{"cores", 1}});
  special["weak"] = fails(Cause::failed, "no luck");
  EXPECT_EQ(bench.run(), 1);
  EXPECT_EQ(bench.status_of("other").row.reason, "not begun: 'weak' failed");
  EXPECT_EQ(bench.run(), 1);
  EXPECT_EQ(bench.last("other").state, AttemptState::succeeded);
  EXPECT_EQ(bench.last("weak").number, 2);
  special.erase("weak");
  EXPECT_EQ(bench.run(), 0);
}

TEST_F(Engine, AStepThatIsTriedAgainGivesWayToo) {
  bench.add("weak", "make", {{"cores", 2}}).retries = 1;
  bench.add("other", "make", {{"cores", 1}});
  special["weak"] = fails(Cause::failed, "no luck");
  EXPECT_EQ(bench.run(), 1);
  EXPECT_EQ(bench.last("weak").number, 2);
  EXPECT_EQ(bench.last("other").state, AttemptState::succeeded);
}

// Its own cores are free: what `large` waits for would keep it for as long as `long` runs.
TEST_F(Engine, AStepThatIsTriedAgainDoesNotWaitForOneWhoseCoresAreInUse) {
  bench.add("long", "make", {{"cores", 1}});
  bench.add("weak", "make", {{"cores", 1}}).retries = 1;
  bench.add("large", "make", {{"cores", 2}});
  special["long"] = goes_on();
  special["weak"] = fails(Cause::failed, "no luck");
  stop_after(300);
  EXPECT_EQ(bench.run(), 1);
  EXPECT_EQ(bench.last("weak").number, 2);
  EXPECT_EQ(bench.last("long").number, 1);
  EXPECT_EQ(bench.last("large").id, 0);
}

TEST_F(Engine, AStepThatIsTriedAgainDoesNotWaitForOneWhoseHostIsAway) {
  bench.add_host("node1");
  std::promise<void> back;
  bench.host("node1").on_order([&, gate = back.get_future().share()](const Message&) {
    gate.wait();
    return std::optional<Message>();
  });
  bench.add("weak", "make", {{"cores", 1}}).retries = 1;
  bench.add("away", "make", {{"cores", 1}, {"host", "node1"}});
  special["weak"] = fails(Cause::failed, "no luck");
  bool failed = false, told = false;
  bench.observer.on_news = [&](const StepNews& news) { failed = failed || news.what == "failed"; };
  bench.on_tick = [&, turns = 0]() mutable {
    const bool late = ++turns > 100;  // before the engine itself takes it for lost
    if (late) bench.stop.raise(Cause::interrupted);
    if ((late || failed) && !std::exchange(told, true)) back.set_value();
  };
  EXPECT_EQ(bench.run(), 1);
  EXPECT_EQ(bench.last("weak").number, 2);
  EXPECT_EQ(bench.last("away").id, 0);
}

TEST_F(Engine, SaysWhereAnOutputOfACommandLies) {
  bench.add_host("node1");
  bench.host("node1").on_start([](const Json&) { return makes("card", "there"); });
  bench.add("here", "exec", {{"value", 1}});
  bench.add("there", "exec", {{"host", "node1"}});
  special["here"] = makes("card", "here");
  ASSERT_EQ(bench.run(), 0);
  const fs::path link = bench.folder / "results/here.card";
  const fs::path far =
      bench.host("node1").root() / "outputs/there" / bench.last("there").key / "1/card/content";
  const std::string told = "here: " + (link / "content").string() + "\nthere: " + far.string() + " on node1";
  EXPECT_EQ(bench.observer.lines_with("end").back(), "end 0: " + told);
  EXPECT_EQ(read_file(link / "content").value_or(""), "here");
  EXPECT_TRUE(fs::exists(far));
  ASSERT_EQ(bench.run(), 0);
  EXPECT_EQ(bench.observer.lines_with("end").back(), "end 0: nothing to do\n" + told);
}

TEST_F(Engine, SaysWhenAShortNameIsGivenToAnEarlierResult) {
  bench.add("card", "exec", {{"value", 1}});
  special["card"] = makes("card", "one");
  ASSERT_EQ(bench.run(), 0);
  bench.step("card").options["value"] = 2;
  special["card"] = makes("card", "two");
  ASSERT_EQ(bench.run(), 0);
  EXPECT_TRUE(bench.observer.lines_with("end").back().starts_with("end 0: card: ")) << "it made a new one";
  bench.step("card").options["value"] = 1;
  ASSERT_EQ(bench.run(), 0);
  const fs::path file = bench.folder / "results/card.card/content";
  EXPECT_EQ(bench.observer.lines_with("end").back(),
            "end 0: nothing to do\nresults/card.card now names what run 1 made\ncard: " + file.string());
  EXPECT_EQ(read_file(file).value_or(""), "one");
  ASSERT_EQ(bench.run(), 0);
  EXPECT_EQ(bench.observer.lines_with("end").back(), "end 0: nothing to do\ncard: " + file.string());
}

TEST_F(Engine, RetriesAsOftenAsAskedAndNeverWhatIsHopeless) {
  bench.add("weak", "make").retries = 2;
  special["weak"] = fails(Cause::failed, "no luck");
  EXPECT_EQ(bench.run(), 1);
  EXPECT_EQ(bench.last("weak").number, 3);
  EXPECT_EQ(bench.observer.lines_with("weak retrying").size(), 2u);
  special["weak"] = fails(Cause::no_resources, "out of memory");
  EXPECT_EQ(bench.run(), 13);
  EXPECT_EQ(bench.last("weak").number, 4);
}

TEST_F(Engine, AnAttemptThatTakesTooLongFails) {
  bench.add("slow", "make").timeout = Milliseconds(60'000);
  special["slow"] = goes_on();
  bench.per_tick = Milliseconds(30'000);
  EXPECT_EQ(bench.run(), 1);
  EXPECT_EQ(bench.last("slow").message, "it ran longer than its timeout of 1m 00s");
  EXPECT_TRUE(bench.host().running().empty());
}

TEST_F(Engine, ASignalEndsEverythingWithItsCode) {
  bench.add("slow", "make");
  special["slow"] = goes_on();
  bench.on_tick = [&] {
    if (!bench.host().running().empty()) bench.stop.raise(Cause::interrupted);
  };
  EXPECT_EQ(bench.run(), 130);
  EXPECT_EQ(bench.last("slow").state, AttemptState::cancelled);
  EXPECT_FALSE(*bench.host().daemon_alive());
}

TEST_F(Engine, ARequestToStopIsHeardFromTheStore) {
  bench.add("slow", "make");
  special["slow"] = goes_on();
  bench.per_tick = Milliseconds(200);
  bool asked = false;
  bench.on_tick = [&] {
    if (bench.host().running().empty() || std::exchange(asked, true)) return;
    ASSERT_TRUE(StoreReader::request_stop(bench.folder / "state", bench.last("slow").run));
  };
  EXPECT_EQ(bench.run(), exit_code(Cause::stopped));
  EXPECT_EQ(bench.last("slow").state, AttemptState::cancelled);
  EXPECT_EQ(bench.last("slow").message, "stopped by `gnnflow stop`");
}

TEST_F(Engine, ALostDaemonIsTriedAgainAsOftenAsAllowed) {
  bench.add("work", "make").lost_retries = 1;
  special["work"] = goes_on();
  int kills = 0;
  bench.on_tick = [&] {
    if (bench.host().running().empty()) return;
    ++kills;
    bench.host().kill_daemon();
  };
  EXPECT_EQ(bench.run(), exit_code(Cause::unreachable));
  EXPECT_EQ(kills, 2);
  EXPECT_EQ(bench.last("work").number, 2);
  EXPECT_EQ(bench.last("work").state, AttemptState::lost);
  EXPECT_EQ(bench.observer.lines_with("failure"),
            (Lines{"failure work: its task on controller was lost: its daemon ended and took it along"}));
}

TEST_F(Engine, ACutConnectionIsTakenUpAgain) {
  bench.add("work", "make");
  special["work"] = goes_on();
  bool cut = false;
  bench.on_tick = [&] {
    const auto running = bench.host().running();
    if (running.empty()) return;
    const auto orders = bench.host().orders_of(running.front());
    if (!std::exchange(cut, true)) {
      bench.host().cut();
    } else if (std::count(orders.begin(), orders.end(), "start") == 2) {  // asked again: put if absent
      const fs::path out = bench.host().root() / "tmp" / running.front() / "out/thing";
      ASSERT_TRUE(create_folders(out));
      bench.host().finish(running.front(), 0);
    }
  };
  EXPECT_EQ(bench.run(), 0);
  EXPECT_EQ(bench.last("work").number, 1);
  EXPECT_EQ(bench.host().started().size(), 1u);
}

TEST_F(Engine, AHostThatNobodyAnswersForIsLostOnlyAfterItsLease) {
  bench.add("work", "make");
  special["work"] = goes_on();
  bench.workflow.lease = Milliseconds(10'000);
  bench.workflow.grace = Milliseconds(1'000);
  bool cut = false;
  int64_t began = 0;
  bench.on_tick = [&] {
    if (cut) bench.clock.advance(Milliseconds(500));
    if (bench.host().running().empty() || std::exchange(cut, true)) return;
    began = bench.clock.unix_milliseconds();
    bench.host().refuse_daemons(Error{Cause::unreachable, "no route to it"});
    bench.host().cut();
  };
  EXPECT_EQ(bench.run(), exit_code(Cause::unreachable));
  EXPECT_EQ(bench.last("work").state, AttemptState::lost);
  EXPECT_GE(bench.clock.unix_milliseconds() - began, 12'100);
  EXPECT_NE(bench.last("work").message.find("last seen 1"), std::string::npos) << bench.last("work").message;
}

TEST_F(Engine, StepsRunTogetherWhenTheirCoresFit) {
  bench.add("one", "make", {{"cores", 1}});
  bench.add("two", "make", {{"cores", 1}});
  bench.add("all", "make", {{"cores", 2}});
  special["one"] = special["two"] = goes_on();
  int turns = 0;
  bench.on_tick = [&] {
    if (++turns > 300) bench.stop.raise(Cause::interrupted);  // one waits for the other
    if (bench.host().running().size() < 2) return;
    EXPECT_EQ(bench.last("all").id, 0);
    for (const std::string& token : bench.host().running()) {
      const fs::path out = bench.host().root() / "tmp" / token / "out/thing";
      ASSERT_TRUE(create_folders(out));
      bench.host().finish(token, 0);
    }
  };
  EXPECT_EQ(bench.run(), 0);
  EXPECT_EQ(bench.last("all").state, AttemptState::succeeded);
}

TEST_F(Engine, SaysAnExitCodeOnce) {
  bench.add("bad", "make");
  special["bad"] = fails(Cause::failed, "sh ended with exit code 1");
  EXPECT_EQ(bench.run(), 1);
  EXPECT_EQ(bench.observer.lines_with("failure"),
            (Lines{"failure bad: its task on controller: sh ended with exit code 1"}));
}

// What a daemon answers cannot be written (a piece needs a digest): nobody is told of a success, and the next
// run, which can write, takes up what is published.
TEST_F(Engine, ASuccessThatCannotBeStoredIsNotToldAndTheNextRunTakesItUp) {
  bench.add("a", "make");
  bench.host().on_order([](const Message& order) -> std::optional<Message> {
    if (order.type() != "publish") return std::nullopt;
    Json piece(Json::Object{{"name", "thing"}, {"digest", ""}, {"bytes", 1}});
    return message_of("", {{"pieces", Json(Json::Array{piece})}});
  });
  EXPECT_NE(bench.run(), 0);
  EXPECT_EQ(bench.observer.lines_with("a succeeded"), Lines());
  ASSERT_EQ(bench.observer.lines_with("failure").size(), 1u);
  EXPECT_EQ(bench.observer.lines_with("failure").front().find("failure : the state cannot be written: "), 0u);
  EXPECT_EQ(bench.last("a").state, AttemptState::publishing);
  const std::vector<std::string> orders = bench.host().orders_of(bench.host().started().front());
  EXPECT_EQ(std::count(orders.begin(), orders.end(), "discard"), 0);

  bench.host().on_order(nullptr);
  EXPECT_EQ(bench.run(), 0);
  EXPECT_EQ(bench.last("a").number, 1);
  EXPECT_EQ(bench.last("a").state, AttemptState::succeeded);
  EXPECT_EQ(bench.host().started().size(), 1u);
}

// The daemon has published when the run ends, but nobody took its answer.
TEST_F(Engine, WhatWasPublishedButNotTakenIsRemovedWhenTheRunIsStopped) {
  add_two();
  fs::path published;
  std::atomic<bool> there = false;
  bench.host().on_order([&](const Message& order) -> std::optional<Message> {
    if (order.type() != "publish") return std::nullopt;
    published = bench.host().root() / order.head.text_or("to", "");
    EXPECT_TRUE(create_folders(published / "thing"));
    there = true;
    Message reply;
    reply.head["ok"] = false;
    reply.head["cause"] = "unreachable";
    return reply;
  });
  bench.on_tick = [&] {
    if (there) bench.stop.raise(Cause::interrupted);
  };
  EXPECT_EQ(bench.run(), 130);
  EXPECT_EQ(bench.last("a").state, AttemptState::cancelled);
  ASSERT_TRUE(there);
  EXPECT_FALSE(fs::exists(published));
}

TEST(ExitCode, IsTheFirstCausesWhenAllShareOneThatSaysWhatToDo) {
  EXPECT_EQ(exit_code_of({}), 0);
  EXPECT_EQ(exit_code_of({Cause::failed}), 1);
  EXPECT_EQ(exit_code_of({Cause::bad_workflow}), 3);
  EXPECT_EQ(exit_code_of({Cause::unfit}), 7);
  EXPECT_EQ(exit_code_of({Cause::bad_data}), 12);
  EXPECT_EQ(exit_code_of({Cause::unreachable, Cause::unreachable}), 6);
  EXPECT_EQ(exit_code_of({Cause::temporary}), 75);
  EXPECT_EQ(exit_code_of({Cause::no_resources, Cause::failed}), 1);
  EXPECT_EQ(exit_code_of({Cause::bug}), 1);
}

}  // namespace
}  // namespace gnnflow
