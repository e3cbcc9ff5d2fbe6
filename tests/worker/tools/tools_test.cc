// list, info and sample: what they print for graphs and for partitions.
#include "worker/tools/tools.h"

#include <algorithm>
#include <map>
#include <set>

#include <gtest/gtest.h>

#include "common/base/digest.h"
#include "tests/support/poke.h"
#include "tests/support/temp_dir.h"
#include "tests/support/toy_graph.h"
#include "worker/partition/partition.h"

namespace gnnflow {
namespace {

struct Answer {
  int code = 0;
  std::string out, talk;
  Json json() const {
    auto parsed = Json::parse(out);
    EXPECT_TRUE(parsed) << out;
    return parsed ? *parsed : Json();
  }
};

template <typename Tool>
Answer captured(Tool tool) {
  testing::internal::CaptureStdout();
  testing::internal::CaptureStderr();
  Answer answer;
  answer.code = tool();
  answer.out = testing::internal::GetCapturedStdout();
  answer.talk = testing::internal::GetCapturedStderr();
  return answer;
}

class Tools : public testing::Test {
 protected:
  Tools() {
    toy_graph(dir_ / "g", {.nodes = 200, .pairs = 900});
    for (const int parts : {1, 2, 4}) {
      PartitionOptions options;
      options.parts = parts;
      options.balance = {"nodes"};
      auto made = partition_graph(dir_ / "g", dir_ / std::to_string(parts), options, [](const Progress&) {});
      EXPECT_TRUE(made) << made.error().message;
    }
  }
  TempDir dir_;
};

TEST_F(Tools, ListNamesAllFilesWithTheirDigests) {
  for (const char* name : {"g", "2"}) {
    const Answer answer = captured([&] { return run_list(dir_ / name, std::nullopt, Output::json); });
    ASSERT_EQ(answer.code, 0) << answer.talk;
    std::set<std::string> listed, there;
    const Json listing = answer.json();
    for (const Json& file : listing.get("files").array()) {
      const std::string path = file.text_or("path", "");
      listed.insert(path);
      EXPECT_EQ(file.text_or("digest", ""), *digest_of_file(dir_ / name / path)) << path;
      EXPECT_EQ(file.integer_or("bytes", -1), static_cast<int64_t>(fs::file_size(dir_ / name / path)))
          << path;
    }
    for (const auto& entry : fs::recursive_directory_iterator(dir_ / name)) {
      if (entry.is_regular_file()) there.insert(fs::relative(entry.path(), dir_ / name).string());
    }
    EXPECT_EQ(listed, there);
  }
}

TEST_F(Tools, ListOfAPartIsEnoughToOpenIt) {
  const Answer answer = captured([&] { return run_list(dir_ / "2", 1, Output::json); });
  ASSERT_EQ(answer.code, 0) << answer.talk;
  EXPECT_EQ(answer.json().integer_or("parts", 0), 2);
  const Json listing = answer.json();
  for (const Json& file : listing.get("files").array()) {
    const fs::path path = file.text_or("path", "");
    EXPECT_FALSE(path.string().starts_with("part-0")) << path;
    fs::create_directories((dir_ / "copy" / path).parent_path());
    fs::copy(dir_ / "2" / path, dir_ / "copy" / path);
  }
  auto partition = PartitionDir::open(dir_ / "copy");
  ASSERT_TRUE(partition) << partition.error().message;
  EXPECT_FALSE(partition->has_part(0));
  EXPECT_TRUE(partition->open_part(1));
  EXPECT_TRUE(partition->split("node", "default")->train.present());
  EXPECT_EQ(captured([&] { return run_verify(dir_ / "copy", Output::text); }).code, 0);
}

TEST_F(Tools, ListNamesTheFileThatIsCutShortOrMissing) {
  fs::resize_file(dir_ / "2/split/node/default/val.npy", 100);
  Answer answer = captured([&] { return run_list(dir_ / "2", 0, Output::json); });
  EXPECT_EQ(answer.code, 12);
  EXPECT_NE(answer.talk.find("split/node/default/val.npy: has 100 bytes, the index says"), std::string::npos)
      << answer.talk;
  fs::remove(dir_ / "2/split/node/default/val.npy");
  answer = captured([&] { return run_list(dir_ / "2", 0, Output::json); });
  EXPECT_EQ(answer.code, 12);
  EXPECT_NE(answer.talk.find("split/node/default/val.npy: missing"), std::string::npos) << answer.talk;
}

TEST_F(Tools, ListOfAPartThatIsNotThereIsNotFound) {
  const Answer answer = captured([&] { return run_list(dir_ / "2", 2, Output::json); });
  EXPECT_EQ(answer.code, 4);
  EXPECT_EQ(answer.talk, "gnnflow-worker: " + (dir_ / "2").string() + " has parts 0 to 1, no part 2\n");
  EXPECT_EQ(captured([&] { return run_list(dir_ / "g", 0, Output::json); }).code, 4);
}

TEST_F(Tools, InfoSaysWhatIsThere) {
  Answer answer = captured([&] { return run_info(dir_ / "g", Output::text); });
  EXPECT_NE(answer.out.find("nodes: 200 of 'node'"), std::string::npos) << answer.out;
  EXPECT_NE(answer.out.find("nodes/node/feat.npy"), std::string::npos) << answer.out;
  answer = captured([&] { return run_info(dir_ / "4", Output::text); });
  EXPECT_NE(answer.out.find("4 parts by metis, seed 0"), std::string::npos) << answer.out;
  EXPECT_NE(answer.out.find("edge cut: "), std::string::npos) << answer.out;
  answer = captured([&] { return run_info(dir_ / "4", Output::json); });
  EXPECT_EQ(answer.json().get("parts_here").array().size(), 4u);
  EXPECT_EQ(answer.json().text_or("digest", ""), PartitionDir::open(dir_ / "4")->index().digest());
}

TEST_F(Tools, InfoOfNothingIsNotFound) {
  const Answer answer = captured([&] { return run_info(dir_.path(), Output::json); });
  EXPECT_EQ(answer.code, 4);
  EXPECT_EQ(answer.out, "");
  EXPECT_EQ(answer.talk,
            "gnnflow-worker: " + dir_.path().string() + " is not a graph directory: it has no graph.json\n");
}

TEST_F(Tools, SampleIsTheSameForAGraphAndItsPartitions) {
  for (const Output output : {Output::text, Output::json}) {
    std::set<std::string> answers;
    for (const char* name : {"g", "1", "2", "4"}) {
      SampleRequest request{dir_ / name, {5, 170, 3, 44}, {4, 3, 2}, 2, 17, 9};
      const Answer answer = captured([&] { return run_sample(request, output); });
      ASSERT_EQ(answer.code, 0) << answer.talk;
      answers.insert(answer.out);
    }
    EXPECT_EQ(answers.size(), 1u);
  }
}

TEST_F(Tools, SampleHasOnlyEdgesOfTheGraphAndAtMostTheFanout) {
  const SampleRequest request{dir_ / "2", {5, 170}, {-1, 3}, 0, 0, 1};
  const Json sample = captured([&] { return run_sample(request, Output::json); }).json();
  std::set<std::pair<int64_t, int64_t>> edges;
  for (const auto& [u, v] : toy_pairs({.nodes = 200, .pairs = 900})) {
    edges.emplace(u, v);
    edges.emplace(v, u);
  }
  const Json::Array& layers = sample.get("layers").array();
  ASSERT_EQ(layers.size(), 2u);
  std::map<int64_t, int> degree;
  for (const Json& edge : layers[1].get("edges").array()) {
    EXPECT_TRUE(edges.contains({edge.array()[0].integer(), edge.array()[1].integer()}));
    ++degree[edge.array()[1].integer()];
  }
  EXPECT_EQ(degree, (std::map<int64_t, int>{{5, 3}, {170, 3}}));
  // Fan-out -1 is the whole row.
  std::map<int64_t, std::set<int64_t>> rows;
  for (const Json& edge : layers[0].get("edges").array())
    rows[edge.array()[1].integer()].insert(edge.array()[0].integer());
  for (const auto& [to, sources] : rows) {
    const auto all = std::count_if(edges.begin(), edges.end(),
                                   [&, node = to](const auto& edge) { return edge.second == node; });
    EXPECT_EQ(static_cast<int64_t>(sources.size()), all);
  }
}

TEST_F(Tools, SampleNamesWhatIsWrong) {
  SampleRequest request{dir_ / "g", {200}, {4}, 0, 0, 0};
  Answer answer = captured([&] { return run_sample(request, Output::text); });
  EXPECT_EQ(answer.code, 2);
  EXPECT_NE(answer.talk.find("seed 200 is not below the 200 nodes"), std::string::npos) << answer.talk;
  request.seeds = {1};
  request.fanout = {0};
  answer = captured([&] { return run_sample(request, Output::text); });
  EXPECT_EQ(answer.code, 2);
  EXPECT_NE(answer.talk.find("fan-out 0 is neither -1 nor 1 to 1024"), std::string::npos) << answer.talk;
  request = {dir_ / "2/part-0", {1}, {4}, 0, 0, 0};
  answer = captured([&] { return run_sample(request, Output::text); });
  EXPECT_NE(answer.talk.find("is one part: sample from the partition"), std::string::npos) << answer.talk;
}

TEST_F(Tools, SampleNamesTheIdOfAMapThatIsNoNode) {
  for (const char* map : {"2/maps/node/new_of_orig.npy", "2/maps/node/orig_of_new.npy"}) {
    const int64_t good = Array::open(dir_ / map)->integer(7);
    for (const int32_t id : {200, -1, 2'000'000'000}) {
      poke<int32_t>(dir_ / map, 7, id);
      const SampleRequest request{dir_ / "2", {7}, {4}, 0, 0, 0};
      const Answer answer = captured([&] { return run_sample(request, Output::text); });
      EXPECT_EQ(answer.code, 12);
      EXPECT_EQ(answer.talk, "gnnflow-worker: " + (dir_ / map).string() + ": id " + std::to_string(id) +
                                 " at position 7 is not below 200\n");
    }
    poke<int32_t>(dir_ / map, 7, static_cast<int32_t>(good));
  }
}

}  // namespace
}  // namespace gnnflow
