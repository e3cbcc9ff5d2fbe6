// `gnnflow-worker serve` as its daemon sees it: keys in, ready out, the list of clients, cancel.
#include <csignal>
#include <thread>

#include <fcntl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/wire/message.h"
#include "tests/worker/graph_server/toy_servers.h"
#include "worker/graph_server/client.h"

namespace gnnflow {
namespace {

using std::chrono::seconds;

// The daemon's side of one job.
class ServeJob {
 public:
  explicit ServeJob(const Json& spec) {
    const fs::path task = folder_.file("task.json", spec.dump());
    auto [ours, theirs] = make_socket_pair().value();
    const std::string program = GNNFLOW_PROGRAMS_FOLDER "/gnnflow-worker", file = task.string();
    const int job_end = theirs.get();
    pid_ = fork();
    if (pid_ == 0) {
      if (job_end != 3) {
        dup2(job_end, 3);
      } else {
        fcntl(3, F_SETFD, 0);
      }
      setenv("GNNFLOW_TOKEN", "test.1.serve.1.0", 1);
      execl(program.c_str(), program.c_str(), "serve", "--task", file.c_str(), nullptr);
      _exit(127);
    }
    theirs.reset();
    link_.emplace(std::move(ours));
    Json beat;
    beat["type"] = "beat";
    beat["lease_ms"] = 60'000;
    beat["grace_ms"] = 10'000;
    send(beat);
  }

  ~ServeJob() {
    if (pid_ > 0) {
      kill(pid_, SIGKILL);
      waitpid(pid_, nullptr, 0);
    }
  }

  void send(const Json& head) { EXPECT_TRUE(link_->send({head, ""}, Deadline::after(seconds(5)))); }

  // The next message of this type; others are passed over.
  Json receive(std::string_view type) {
    const Deadline deadline = Deadline::after(seconds(10));
    while (!deadline.passed()) {
      auto message = link_->receive(deadline);
      if (!message || !*message) return {};
      if ((*message)->type() == type) return (*message)->head;
    }
    return {};
  }

  // It may take so much more address space from now on.
  void leave_memory(rlim_t bytes) const {
    const Result<std::string> pages = read_file(fmt::format("/proc/{}/statm", pid_));
    const rlim_t now = std::stoull(pages.value()) * static_cast<rlim_t>(::sysconf(_SC_PAGESIZE));
    const rlimit limit{now + bytes, RLIM_INFINITY};
    EXPECT_EQ(::prlimit(pid_, RLIMIT_AS, &limit, nullptr), 0);
  }

  int exit_code_within_ten_seconds() {
    for (int i = 0; i < 1000; ++i) {
      int status = 0;
      if (waitpid(pid_, &status, WNOHANG) == pid_) {
        pid_ = -1;
        return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
      }
      std::this_thread::sleep_for(std::chrono::milliseconds(10));
    }
    return -1;
  }

 private:
  const TempDir folder_;
  pid_t pid_ = -1;
  std::optional<MessageLink> link_;
};

Json spec_of(const fs::path& partition, int part, const std::string& address = "127.0.0.1") {
  Json spec;
  spec["token"] = "test.1.serve.1.0";
  spec["kind"] = "serve";
  spec["folder"] = partition.parent_path().string();
  spec["threads"] = 1;
  spec["options"] = Json::Object{};
  spec["inputs"]["partition"] = partition.string();
  spec["part"] = part;
  spec["address"] = address;
  return spec;
}

Json keys_message(const KeyPair& keys, int64_t port) {
  Json message;
  message["type"] = "keys";
  message["public"] = keys.public_key;
  message["secret"] = keys.secret_key;
  message["port"] = port;
  return message;
}

Json allow_message(const std::string& key) {
  Json message;
  message["type"] = "allow";
  message["keys"].push_back(key);
  return message;
}

TEST(ServeJob, ServesAsItsDaemonSaysAndEndsWhenCancelled) {
  const TempDir folder;
  const fs::path partition = make_partition(folder, kServedToy, 2, "random");
  const KeyPair server_keys = make_key_pair().value(), client_keys = make_key_pair().value();
  int64_t port = 0;
  for (int start = 0; start < 2; ++start) {  // the second is a restart: same keys, same port
    ServeJob job(spec_of(partition, 1));
    job.send(keys_message(server_keys, port));
    const Json ready = job.receive("ready");
    ASSERT_TRUE(ready.is_object());
    EXPECT_EQ(ready.get("part").integer(), 1);
    EXPECT_EQ(ready.get("address").string(), "127.0.0.1");
    EXPECT_EQ(ready.get("public_key").string(), server_keys.public_key);
    if (start == 1) {
      EXPECT_EQ(ready.get("port").integer(), port);
    }
    port = ready.get("port").integer();
    job.send(allow_message(client_keys.public_key));
    EXPECT_EQ(job.receive("allowed").integer_or("count", -1), 1);

    const auto source =
        open_sharded_graph({.partition = partition,
                            .mapped = {0},
                            .servers = {{1, "127.0.0.1", static_cast<int>(port), server_keys.public_key}},
                            .keys = client_keys});
    ASSERT_TRUE(source) << source.error().message;
    EXPECT_EQ(sample_parts(**source, partition, {4, 3}, {5, 6}, {1, 0, 0}, true),
              sample_whole(folder / "graph", {4, 3}, {5, 6}, {1, 0, 0}));
    Json cancel;
    cancel["type"] = "cancel";
    job.send(cancel);
    EXPECT_EQ(job.exit_code_within_ten_seconds(), 0);
  }
}

TEST(ServeJob, EndsWith13AndSaysSoWhenMemoryForAReplyIsNotThere) {
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
  GTEST_SKIP() << "sanitizers need more address space than this test leaves";
#endif
  const TempDir folder;
  ToyOptions wide = kServedToy;
  wide.columns = 2'000;
  const fs::path partition = make_partition(folder, wide, 1, "random");
  const KeyPair server_keys = make_key_pair().value(), client_keys = make_key_pair().value();
  ServeJob job(spec_of(partition, 0));
  job.send(keys_message(server_keys, 0));
  const int port = static_cast<int>(job.receive("ready").integer_or("port", 0));
  job.send(allow_message(client_keys.public_key));
  ASSERT_EQ(job.receive("allowed").integer_or("count", -1), 1);
  SocketContext context(1);
  const auto client = RemotePart::open(context, {.server = {0, "127.0.0.1", port, server_keys.public_key},
                                                 .keys = client_keys,
                                                 .digest = PartitionDir::open(partition)->index().digest(),
                                                 .deadline = Milliseconds(2'000)});
  ASSERT_TRUE(client) << client.error().message;
  const auto use = [](const Question&, const Reply&, Frames&) { return Status(); };
  ASSERT_TRUE((*client)->collect(use));
  job.leave_memory(rlim_t{32} << 20);
  const std::vector<int32_t> nodes(100'000, 5);  // 800 MB of rows
  (*client)->ask({.operation = Operation::rows, .nodes = nodes});
  EXPECT_FALSE((*client)->collect(use));
  const Json failure = job.receive("failure");
  EXPECT_EQ(failure.text_or("cause", ""), "no_resources");
  EXPECT_EQ(failure.text_or("message", ""),
            "not enough memory: take a larger machine, or ask for less at once");
  EXPECT_EQ(job.exit_code_within_ten_seconds(), 13);
}

TEST(ServeJob, ReportsAPartThatIsNotThere) {
  const TempDir folder;
  const fs::path partition = make_partition(folder, kServedToy, 2, "random");
  ServeJob job(spec_of(partition, 7));
  job.send(keys_message(make_key_pair().value(), 0));
  const Json failure = job.receive("failure");
  EXPECT_EQ(failure.text_or("cause", ""), "not_found");
  EXPECT_EQ(failure.text_or("message", ""), partition.string() + " has parts 0 to 1, no part 7");
  EXPECT_EQ(job.exit_code_within_ten_seconds(), 4);
}

TEST(ServeJob, ReportsAWildcardAddressAndBadKeys) {
  const TempDir folder;
  const fs::path partition = make_partition(folder, kServedToy, 2, "random");
  ServeJob wildcard(spec_of(partition, 0, "::"));
  wildcard.send(keys_message(make_key_pair().value(), 0));
  EXPECT_EQ(
      wildcard.receive("failure").text_or("message", ""),
      "graph server of part 0: address '::' means every interface: name the one that the other hosts reach");
  EXPECT_EQ(wildcard.exit_code_within_ten_seconds(), 3);
  ServeJob keyless(spec_of(partition, 0));
  keyless.send(keys_message({"no", "keys"}, 0));
  EXPECT_EQ(keyless.receive("failure").text_or("message", ""), "the keys from the daemon are no CURVE keys");
  EXPECT_EQ(keyless.exit_code_within_ten_seconds(), 2);
}

}  // namespace
}  // namespace gnnflow
