// Bundles: made of the programs that were built here, brought to a folder, and run where nothing else is.
#include <algorithm>
#include <cstdio>

#include <fcntl.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <sched.h>
#include <sys/inotify.h>
#include <sys/mount.h>
#include <sys/stat.h>

#include "common/base/child_process.h"
#include "common/base/digest.h"
#include "common/base/text.h"
#include "orchestrator/remote/bundle.h"
#include "orchestrator/remote/daemon_link.h"
#include "tests/orchestrator/remote/receiver_process.h"
#include "tests/orchestrator/remote/recorded_events.h"
#include "tests/support/temp_dir.h"

namespace gnnflow {
namespace {

const fs::path kPrograms = GNNFLOW_PROGRAMS_FOLDER;
const fs::path kWorker = kPrograms / "gnnflow-worker", kTrainer = kPrograms / "gnnflow-trainer";

// Small, and with libraries of its own.
const fs::path kSmall = "/bin/ls";

const BundleFile* find(const Bundle& bundle, std::string_view name) {
  for (const BundleFile& file : bundle.files) {
    if (file.name == name) return &file;
  }
  return nullptr;
}

TEST(MakeBundle, HoldsTheProgramItsLibrariesAndTheLoader) {
  Result<Bundle> bundle = make_bundle({kWorker});
  ASSERT_TRUE(bundle) << bundle.error().message;
  for (const char* name : {"bin/gnnflow-worker", "lib/libzmq.so.5", "lib/libc.so.6", "lib/libstdc++.so.6"}) {
    const BundleFile* file = find(*bundle, name);
    ASSERT_NE(file, nullptr) << name;
    EXPECT_EQ(file->digest, *digest_of_file(file->source));
    EXPECT_EQ(file->bytes, static_cast<int64_t>(fs::file_size(file->source)));
  }
  EXPECT_NE(find(*bundle, "lib/" + std::string(kLoaderName)), nullptr);
  EXPECT_EQ(find(*bundle, "lib/linux-vdso.so.1"), nullptr);
  Result<Bundle> again = make_bundle({kWorker}), other = make_bundle({kSmall}),
                 both = make_bundle({kSmall, kWorker});
  ASSERT_TRUE(again && other && both);
  EXPECT_EQ(again->digest, bundle->digest);
  EXPECT_NE(other->digest, bundle->digest);
  EXPECT_NE(both->digest, bundle->digest);
  EXPECT_GT(both->bytes(), bundle->bytes());
}

TEST(MakeBundle, WhatIsNoProgramOrLacksALibraryIsNamed) {
  TempDir dir;
  Result<Bundle> script = make_bundle({dir.file("script", "#!/bin/sh\n")});
  ASSERT_FALSE(script);
  EXPECT_EQ(script.error().cause, Cause::bad_data);
  EXPECT_EQ(script.error().message.find((dir / "script").string() + ": not a program"), 0u)
      << script.error().message;
  EXPECT_EQ(make_bundle({dir / "none"}).error().cause, Cause::not_found);

  std::string program = *read_file(kWorker);
  const std::string library = "libmetis.so.5";
  for (size_t at = program.find(library); at != std::string::npos; at = program.find(library, at + 1))
    program.replace(at, library.size(), "libmetix.so.5");
  dir.file("worker", program);
  fs::permissions(dir / "worker", fs::perms::owner_all);
  Result<Bundle> lacking = make_bundle({dir / "worker"});
  ASSERT_FALSE(lacking);
  EXPECT_EQ(exit_code(lacking.error().cause), 4);
  EXPECT_NE(lacking.error().message.find("the library libmetix.so.5 that it needs is not on this machine"),
            std::string::npos)
      << lacking.error().message;

  // Cut anywhere, it is an error and no crash.
  for (size_t size : {0u, 3u, 20u, 63u, 64u, 100u, 300u, 700u}) {
    dir.file("cut", program.substr(0, size));
    EXPECT_EQ(make_bundle({dir / "cut"}).error().cause, Cause::bad_data) << size;
  }
}

FarGreeting machine(std::string kind, std::string kernel) {
  FarGreeting greeting;
  greeting.machine = std::move(kind);
  greeting.kernel = std::move(kernel);
  return greeting;
}

TEST(CheckFits, RefusesOtherProcessorsAndOldKernels) {
  const Bundle bundle{.digest = "", .machine = "x86_64", .files = {}};
  EXPECT_TRUE(check_fits(bundle, machine("x86_64", "6.1.0-13-amd64")));
  EXPECT_TRUE(check_fits(bundle, machine("x86_64", "5.3")));
  Status other = check_fits(bundle, machine("aarch64", "6.1.0"));
  ASSERT_FALSE(other);
  EXPECT_EQ(other.error().cause, Cause::unfit);
  EXPECT_EQ(other.error().message, "it is a machine of kind aarch64, and our programs are made for x86_64");
  Status old = check_fits(bundle, machine("x86_64", "4.18.0-553.el8"));
  ASSERT_FALSE(old);
  EXPECT_EQ(old.error().message, "its kernel 4.18.0-553.el8 is too old: our programs need 5.3 or newer");
  EXPECT_FALSE(check_fits(bundle, machine("x86_64", "")));
}

class PrepareBundleTest : public testing::Test {
 protected:
  void SetUp() override {
    Result<Bundle> made = make_bundle({kSmall});
    ASSERT_TRUE(made) << made.error().message;
    bundle = std::move(*made);
  }
  PreparedBundle prepare(const Bundle& wanted) {
    ReceiverProcess receiver;
    FarFiles far = receiver.far_files();
    Result<PreparedBundle> prepared = prepare_bundle(far, wanted, workspace.path(), nullptr, stop);
    if (!prepared) {
      ADD_FAILURE() << prepared.error().message;
      return {};
    }
    return *prepared;
  }
  // Also that what lies there is what it should be.
  int64_t files_sent() {
    PreparedBundle prepared = prepare(bundle);
    for (const BundleFile& file : bundle.files) {
      EXPECT_EQ(digest_of_file(prepared.folder / file.name).value_or("none"), file.digest) << file.name;
      EXPECT_EQ(fs::hard_link_count(prepared.folder / file.name), 2u) << file.name;
    }
    EXPECT_FALSE(fs::exists(workspace / "bundles/incoming"));
    return prepared.files_sent;
  }
  fs::path folder() const { return workspace / "bundles" / bundle.digest; }

  TempDir workspace;
  StopSignal stop;
  Bundle bundle;
};

TEST_F(PrepareBundleTest, IsSentOnceAndRuns) {
  EXPECT_EQ(files_sent(), static_cast<int64_t>(bundle.files.size()));
  EXPECT_EQ(files_sent(), 0);
  ChildOptions options{.argv = bundled_command(folder(), "ls")};
  options.argv.push_back(folder().string());
  EXPECT_EQ(run_and_read(options, Deadline::after(Milliseconds(20'000))).value_or("failed"), "bin\nlib\n");
  std::vector<std::string> words = bundle_command(folder(), "ls");
  ASSERT_EQ(words.size(), 6u);
  EXPECT_EQ(words[0], "env");
  EXPECT_EQ(words[1], "GNNFLOW_BUNDLE=" + folder().string());
  EXPECT_EQ(std::vector<std::string>(words.begin() + 2, words.end()), bundled_command(folder(), "ls"));
}

TEST_F(PrepareBundleTest, AFlippedByteIsNoticedAndMended) {
  EXPECT_GT(files_sent(), 0);
  const auto flip = [](const fs::path& path) {
    FileDescriptor file(::open(path.c_str(), O_RDWR | O_CLOEXEC));
    char byte = 0;
    ASSERT_EQ(::pread(file.get(), &byte, 1, 1000), 1);
    byte ^= 1;
    ASSERT_EQ(::pwrite(file.get(), &byte, 1, 1000), 1);
  };
  flip(folder() / "lib/libc.so.6");
  EXPECT_EQ(files_sent(), 1);
  flip(workspace / "bundles/files" / find(bundle, "bin/ls")->digest);
  EXPECT_EQ(files_sent(), 1);
  EXPECT_EQ(files_sent(), 0);
}

TEST_F(PrepareBundleTest, WhatIsGoneOrCutIsBroughtAgain) {
  EXPECT_GT(files_sent(), 0);
  fs::remove(folder() / "bin/ls");
  EXPECT_EQ(files_sent(), 0) << "a link is enough";
  fs::resize_file(workspace / "bundles/files" / find(bundle, "lib/libc.so.6")->digest, 100);
  EXPECT_EQ(files_sent(), 1);
  fs::remove_all(folder());
  EXPECT_EQ(files_sent(), 0);
  fs::remove_all(workspace / "bundles/files");
  EXPECT_EQ(files_sent(), static_cast<int64_t>(bundle.files.size()));
  ASSERT_TRUE(write_file_atomically(workspace / "bundles/verified.json", "{\"x\":"));
  EXPECT_EQ(files_sent(), 0);
}

TEST_F(PrepareBundleTest, BundlesShareTheirFiles) {
  EXPECT_GT(files_sent(), 0);
  Result<Bundle> other = make_bundle({"/bin/cat"});
  ASSERT_TRUE(other);
  EXPECT_EQ(prepare(*other).files_sent, 1) << "the program alone";
  EXPECT_EQ(fs::hard_link_count(folder() / "lib/libc.so.6"), 3u);
  EXPECT_EQ(prepare(bundle).files_sent, 0);
}

// Somebody else closes the file, as each try for a lock does that is held.
class CloseOf {
 public:
  explicit CloseOf(const fs::path& path) : events_(::inotify_init1(IN_CLOEXEC)) {
    if (::inotify_add_watch(events_.get(), path.c_str(), IN_CLOSE) < 0) bug("cannot watch a file");
  }
  bool wait() const {
    pollfd look{events_.get(), POLLIN, 0};
    return ::poll(&look, 1, 60'000) == 1;
  }

 private:
  FileDescriptor events_;
};

TEST_F(PrepareBundleTest, AFolderThatIsTakenAwayWhileItsLockIsWaitedForIsMadeAnew) {
  ASSERT_TRUE(create_folders(workspace / "bundles"));
  ReceiverProcess receiver;
  FarFiles far = receiver.far_files();
  {
    Result<FileLock> lock = FileLock::take(workspace / "bundles/lock");
    ASSERT_TRUE(lock);
    CloseOf tried(workspace / "bundles/lock");
    std::jthread controller(
        [&] { EXPECT_TRUE(prepare_bundle(far, bundle, workspace.path(), nullptr, stop)); });
    EXPECT_TRUE(tried.wait());
    fs::rename(workspace / "bundles", workspace / "trash");
    *lock = std::move(*FileLock::take(workspace / "trash/other"));  // lets go of the first
  }
  EXPECT_EQ(files_sent(), 0);
}

TEST_F(PrepareBundleTest, TwoControllersAtOnceBothGetIt) {
  std::vector<std::thread> controllers;
  for (int i = 0; i < 3; ++i) controllers.emplace_back([&] { EXPECT_EQ(prepare(bundle).folder, folder()); });
  for (std::thread& controller : controllers) controller.join();
  EXPECT_EQ(files_sent(), 0);
}

// A root folder with /bin/sh, coreutils, what these need, /proc and /dev; all else there is the bundle.
class BareRoot {
 public:
  BareRoot() {
    for (const char* name : {"bin", "proc", "dev", "home", "etc"}) must(create_folders(dir_ / name));
    must(create_folders(dir_ / "tmp", 01777));
    std::vector<fs::path> programs;
    for (const char* name :
         {"sh", "cat", "ls", "mkdir", "rm", "mv", "env", "sha256sum", "sleep", "chmod", "uname"}) {
      for (const fs::path& place : {fs::path("/bin") / name, fs::path("/usr/bin") / name}) {
        if (!fs::exists(place)) continue;
        programs.push_back(place);
        copy(place, dir_ / "bin" / name);
        break;
      }
    }
    Result<Bundle> libraries = make_bundle(programs);
    must(libraries ? Status() : Status(libraries.error()));
    for (const BundleFile& file : libraries->files) {
      if (!file.name.starts_with("lib/")) continue;
      // Where the loader looks without any list; the loader where the programs look for it.
      const fs::path name = fs::path(file.name).filename();
      copy(file.source, dir_ / (name == kLoaderName ? "lib64" : "lib/x86_64-linux-gnu") / name);
    }
    copy(kReceiver, dir_ / "home/gnnflow-receive");
  }

  const fs::path& path() const { return dir_.path(); }
  // In the calling process: it sees nothing but this folder from now on.
  void enter() const {
    const bool good = ::unshare(CLONE_NEWNS) == 0 &&
                      ::mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) == 0 &&
                      ::mount("proc", (dir_ / "proc").c_str(), "proc", 0, nullptr) == 0 &&
                      ::mount("/dev", (dir_ / "dev").c_str(), nullptr, MS_BIND | MS_REC, nullptr) == 0 &&
                      ::chroot(dir_.path().c_str()) == 0 && ::chdir("/") == 0 &&
                      ::setenv("HOME", "/home", 1) == 0 && ::setenv("PATH", "/bin", 1) == 0;
    if (!good) ::_exit(77);
  }
  // Runs it there; what it printed, or "exit code: what it printed".
  std::string run(std::vector<std::string> words) const {
    int said[2];
    if (::pipe(said) != 0) return "no pipe";
    std::vector<char*> argv;
    for (std::string& word : words) argv.push_back(word.data());
    argv.push_back(nullptr);
    const int child = ::fork();
    if (child == 0) {
      ::dup2(said[1], 1);
      ::dup2(said[1], 2);
      ::close(said[0]);
      ::close(said[1]);
      enter();
      ::execvp(argv[0], argv.data());
      ::_exit(127);
    }
    ::close(said[1]);
    std::string text;
    char buffer[4096];
    for (ssize_t got; (got = ::read(said[0], buffer, sizeof buffer)) > 0;)
      text.append(buffer, static_cast<size_t>(got));
    ::close(said[0]);
    int status = 0;
    ::waitpid(child, &status, 0);
    if (status == 0) return text;
    return "exit code " + std::to_string(WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status)) +
           ": " + text;
  }

 private:
  static void must(const Status& status) {
    if (!status) bug(status.error().message);
  }
  static void copy(const fs::path& from, const fs::path& to) {
    must(create_folders(to.parent_path()));
    fs::copy_file(from, to);
  }
  TempDir dir_;
};

// Reached through the relay, which is started there for each connection.
class BareHost : public Host {
 public:
  BareHost(const BareRoot& bare, std::vector<std::string> worker) : bare_(bare), worker_(std::move(worker)) {}
  const std::string& name() const override { return name_; }
  fs::path root() const override { return fs::path("/home/.cache/gnnflow") / store_ / "node1"; }
  const std::string& store() const { return store_; }
  Result<MessageLink> connect(Deadline) override {
    std::vector<std::string> words = worker_;
    for (const char* word : {"relay", "--root"}) words.push_back(word);
    words.push_back(root().string());
    relays_.push_back(std::make_unique<ReceiverProcess>(std::move(words), [this] { bare_.enter(); }));
    return relays_.back()->link();
  }
  Status start_daemon(Milliseconds, Milliseconds, Deadline) override { return {}; }
  Result<bool> daemon_alive() override {
    return FileLock::is_held(fs::path(bare_.path().string() + (root() / "lock").string()));
  }
  Status put(const fs::path&, const std::vector<HostFile>&, const fs::path&, const TransferProgress&,
             const StopSignal&) override {
    return Error{};
  }
  Status get(const fs::path&, const std::vector<HostFile>&, const fs::path&, const TransferProgress&,
             const StopSignal&) override {
    return Error{};
  }
  Result<std::vector<bool>> check(const std::vector<HostFile>&, const fs::path&, bool,
                                  const StopSignal&) override {
    return Error{};
  }
  Result<std::string> read(const fs::path&, int64_t) override { return Error{}; }
  Result<std::string> read_from(const fs::path&, int64_t, int64_t) override { return Error{}; }

 private:
  const BareRoot& bare_;
  const std::vector<std::string> worker_;
  const std::string name_ = "node1";
  // Processes are found by their token, on all of a machine: no other test may have the same.
  const std::string store_ = random_hex(8);
  std::vector<std::unique_ptr<ReceiverProcess>> relays_;
};

class BareBundleTest : public testing::Test {
 protected:
  void SetUp() override {
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
    GTEST_SKIP() << "sanitizers start their programs themselves, not through a loader";
#endif
    if (::geteuid() != 0) GTEST_SKIP() << "needs root: a root folder and mounts of its own";
    bare.emplace();
    if (bare->run({"sh", "-c", "echo there"}) != "there\n")
      GTEST_SKIP() << "needs the right to mount: " << bare->run({"sh", "-c", "echo there"});
  }
  void TearDown() override {
    if (daemon > 0) ::kill(daemon, SIGKILL);  // whatever a test has done to it
  }
  void prepare(const std::vector<fs::path>& programs) {
    Result<Bundle> made = make_bundle(programs);
    ASSERT_TRUE(made) << made.error().message;
    for (const char* which : {"first", "second"}) {
      const Monotonic start = system_clock().now();
      ReceiverProcess receiver({"/home/gnnflow-receive"}, [this] { bare->enter(); });
      FarFiles far = receiver.far_files();
      ASSERT_TRUE(check_fits(*made, far.greeting()));
      EXPECT_EQ(far.greeting().home, "/home");
      Result<PreparedBundle> prepared = prepare_bundle(far, *made, "/home/.cache/gnnflow", nullptr, stop);
      ASSERT_TRUE(prepared) << prepared.error().message;
      folder = prepared->folder;
      const double seconds = std::chrono::duration<double>(system_clock().now() - start).count();
      std::printf("[ BUNDLE   ] %s preparation: %.2f s, %lld of %zu files, %s, %s on the way\n", which,
                  seconds, static_cast<long long>(prepared->files_sent), made->files.size(),
                  format_bytes(static_cast<double>(prepared->bytes_sent)).c_str(),
                  format_bytes(static_cast<double>(far.bytes_on_the_way())).c_str());
      EXPECT_EQ(prepared->files_sent,
                std::string_view(which) == "first" ? static_cast<int64_t>(made->files.size()) : 0);
    }
    std::printf("[ BUNDLE   ] %s as they lie there; gnnflow-receive: %s\n",
                format_bytes(static_cast<double>(made->bytes())).c_str(),
                format_bytes(static_cast<double>(fs::file_size(kReceiver))).c_str());
  }
  std::vector<std::string> command(std::string_view program, std::vector<std::string> words) const {
    std::vector<std::string> all = bundle_command(folder, program);
    all.insert(all.end(), words.begin(), words.end());
    return all;
  }
  void start_daemon_and_run_jobs();

  std::optional<BareRoot> bare;
  StopSignal stop;
  fs::path folder;
  int daemon = 0;
};

// A job of the worker: shim and program both come out of the bundle. Then one of the user's, which sees
// nothing of that.
void BareBundleTest::start_daemon_and_run_jobs() {
  BareHost host(*bare, bundle_command(folder, "gnnflow-worker"));
  const std::string said = bare->run(
      command("gnnflow-worker", {"daemon", "--root", host.root().string(), "--store", host.store(), "--host",
                                 "node1", "--lease", "60000", "--grace", "1000", "--background"}));
  ASSERT_EQ(said, "");
  RecordedEvents events;
  const auto soon = [] { return Deadline::after(Milliseconds(60'000)); };
  Result<std::unique_ptr<DaemonLink>> link = DaemonLink::open(
      host, {.epoch = 1, .store = host.store(), .lease = Milliseconds(60'000), .grace = Milliseconds(1000)},
      events.sink(), soon());
  ASSERT_TRUE(link) << link.error().message;
  daemon = static_cast<int>((*link)->greeting().integer_or("pid", 0));

  const std::string maps = read_file("/proc/" + std::to_string(daemon) + "/maps").value_or("");
  int libraries = 0;
  for (const std::string& line : split(maps, '\n')) {
    const size_t slash = line.find('/');
    if (slash == std::string::npos || line.find(".so") == std::string::npos) continue;
    EXPECT_NE(line.find("/bundles/"), std::string::npos) << line;
    ++libraries;
  }
  EXPECT_GT(libraries, 10);

  const auto run = [&](const std::string& token, const std::string& program, Json spec) {
    Message order;
    order.head["type"] = "start";
    order.head["token"] = token;
    order.head["program"] = program;
    order.head["spec"] = std::move(spec);
    Result<Message> answer = (*link)->order(order, soon());
    EXPECT_TRUE(answer) << answer.error().message;
    return events.wait_for_exit(token);
  };
  Json options{Json::Object()};
  options["preset"] = "tiny";
  Json generate;
  generate["kind"] = "generate";
  generate["options"] = options;
  Message end = run(host.store() + ".r1.g.1.0", "worker", generate);
  EXPECT_EQ(end.head.integer_or("code", -1), 0) << end.head.dump();
  Json exec;
  exec["kind"] = "exec";
  exec["command"] = Json::Array{"sh", "-c", "echo bundle:$GNNFLOW_BUNDLE: > out; cat out"};
  exec["outputs"]["out"] = "out";
  end = run(host.store() + ".r1.e.1.0", "exec", exec);
  EXPECT_EQ(end.head.integer_or("code", -1), 0) << end.head.dump();
  EXPECT_NE(end.head.text_or("tail", "").find("bundle::"), std::string::npos) << end.head.dump();
  Json evaluate;
  evaluate["kind"] = "evaluate";
  evaluate["options"] = Json::Object();
  end = run(host.store() + ".r1.t.1.0", "trainer", evaluate);
  const fs::path trainer = folder / "bin/gnnflow-trainer";
  if (fs::exists(bare->path() / trainer.relative_path())) {  // it says itself what its task lacks
    EXPECT_EQ(end.head.integer_or("code", 0), 2) << end.head.dump();
    EXPECT_NE(end.head.text_or("message", "").find("inputs.partition"), std::string::npos) << end.head.dump();
  } else {
    EXPECT_EQ(end.head.text_or("message", ""),
              "starting " + trainer.string() + ": No such file or directory");
  }
  Message goodbye;
  goodbye.head["type"] = "goodbye";
  EXPECT_TRUE((*link)->order(goodbye, soon()));
  link = Error{};
  const Deadline deadline = soon();
  while (host.daemon_alive().value_or(true) && !deadline.passed()) ::usleep(10'000);
  EXPECT_FALSE(host.daemon_alive().value_or(true));
  daemon = 0;
}

TEST_F(BareBundleTest, WorkerAndDaemonRunWhereNothingElseIs) {
  prepare({kWorker});
  ASSERT_FALSE(HasFatalFailure());
  EXPECT_NE(bare->run(command("gnnflow-worker", {"generate", "/home/graph", "--preset", "tiny", "--json"}))
                .find("\"nodes\""),
            std::string::npos);
  const std::string cut = bare->run(
      command("gnnflow-worker", {"partition", "/home/graph", "/home/parts", "--parts", "2", "--json"}));
  EXPECT_EQ(cut.find("exit code"), std::string::npos) << cut;
  const std::string verified = bare->run(command("gnnflow-worker", {"verify", "/home/parts"}));
  EXPECT_EQ(verified.find("exit code"), std::string::npos) << verified;
  start_daemon_and_run_jobs();
}

TEST_F(BareBundleTest, TheTrainerTrainsWhereNothingElseIs) {
  if (!fs::exists(kTrainer)) GTEST_SKIP() << "built without the trainer";
  prepare({kWorker, kTrainer});
  ASSERT_FALSE(HasFatalFailure());
  EXPECT_NE(bare->run(command("gnnflow-trainer", {"--version"})).find("gnnflow-trainer, "),
            std::string::npos);
  bare->run(command("gnnflow-worker", {"generate", "/home/graph", "--preset", "tiny"}));
  bare->run(command("gnnflow-worker", {"partition", "/home/graph", "/home/parts", "--parts", "2"}));
  const std::string trained = bare->run(command(
      "gnnflow-trainer", {"train", "--partition", "/home/parts", "--out", "/home/model", "--model", "sage",
                          "--hidden", "8", "--fanout", "2,2", "--epochs", "1", "--threads", "1", "--json"}));
  EXPECT_EQ(trained.find("exit code"), std::string::npos) << trained;
  EXPECT_TRUE(fs::exists(bare->path() / "home/model/last/checkpoint.json")) << trained;
  start_daemon_and_run_jobs();
}

}  // namespace
}  // namespace gnnflow
