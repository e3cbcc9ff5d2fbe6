// .safetensors and checkpoints: round trips, damage, retention.
#include "worker/trainer/checkpoint.h"

#include <atomic>
#include <cstdio>
#include <cstring>
#include <set>
#include <thread>

#include <fcntl.h>
#include <gtest/gtest.h>

#include "common/base/child_process.h"
#include "tests/support/temp_dir.h"
#include "worker/trainer/safetensors.h"

namespace gnnflow {
namespace {

Checkpoint sample() {
  Checkpoint c;
  c.epoch = 3;
  c.step = 12;
  c.model["kind"] = "sage";
  c.options["lr"] = 0.01;
  c.fanout = {3, -1};
  c.batch = 16;
  c.seed = 7;
  c.shape = {5, 3};
  c.parameters = {{"layers.0.weight", {2, 3}, 0}, {"layers.0.bias", {2}, 0}};
  c.weights = {1, 2, 3, 4, 5, 6, 0.1f, -0.0f};
  c.optimizer.steps = 12;
  c.optimizer.first.assign(8, 0.5f);
  c.optimizer.second.assign(8, 0.25f);
  c.best_epoch = 2;
  c.best_accuracy = 0.75;
  c.best_weights = {8, 7, 6, 5, 4, 3, 2, 1};
  Json metrics;
  metrics["epoch"] = 3;
  c.history = {metrics};
  c.products["forward 3x2"] = "onednn";
  c.machine["threads"] = 2;
  return c;
}

TEST(Safetensors, ComeBackAsTheyWere) {
  const std::vector<float> values = {1, 2, 3, 4, 5, 6};
  const std::vector<NamedTensor> tensors = {{"a", {2, 2}, std::span(values).first(4)},
                                            {"b", {2}, std::span(values).last(2)},
                                            {"empty", {0, 3}, {}}};
  const auto file = decode_safetensors(encode_safetensors(tensors, {{"made", "here"}}), "x");
  ASSERT_TRUE(file) << file.error().message;
  EXPECT_EQ(file->tensors.at("a").values, (std::vector<float>{1, 2, 3, 4}));
  EXPECT_EQ(file->tensors.at("b").values, (std::vector<float>{5, 6}));
  EXPECT_EQ(file->tensors.at("empty").shape, (std::vector<int64_t>{0, 3}));
  EXPECT_EQ(file->metadata.at("made"), "here");
}

TEST(Safetensors, RefuseEveryTruncationAndSurviveEveryFlippedByte) {
  const std::vector<float> values = {1, 2, 3, 4};
  const std::vector<NamedTensor> tensors = {{"weights", {2, 2}, values}};
  const std::string good = encode_safetensors(tensors, {{"epoch", "1"}});
  for (size_t size = 0; size < good.size(); ++size) {
    const auto cut = decode_safetensors(good.substr(0, size), "model.safetensors");
    ASSERT_FALSE(cut) << size;
    EXPECT_EQ(cut.error().cause, Cause::bad_data);
    EXPECT_TRUE(cut.error().message.starts_with("model.safetensors: ")) << cut.error().message;
  }
  for (size_t i = 0; i < good.size(); ++i) {
    for (const char flip : {'\x01', '\x80', '\xff'}) {
      std::string bad = good;
      bad[i] = static_cast<char>(bad[i] ^ flip);
      const auto read = decode_safetensors(bad, "x");
      if (read) {
        for (const auto& [name, tensor] : read->tensors) EXPECT_EQ(tensor.values.size(), 4u);
      }
    }
  }
}

TEST(Safetensors, RefuseShapesThatOverflowAndOffsetsThatLie) {
  for (const std::string header :
       {R"({"a":{"data_offsets":[0,4],"dtype":"F32","shape":[4294967296,4294967296]}})",
        R"({"a":{"data_offsets":[0,8],"dtype":"F32","shape":[1]}})",
        R"({"a":{"data_offsets":[-4,0],"dtype":"F32","shape":[1]}})",
        R"({"a":{"data_offsets":[0,4],"dtype":"F16","shape":[2]}})"}) {
    const uint64_t length = header.size();
    std::string bytes(8, '\0');
    std::memcpy(bytes.data(), &length, 8);
    EXPECT_FALSE(decode_safetensors(bytes + header + std::string(4, '\0'), "x")) << header;
  }
}

TEST(Safetensors, OpenInPythonByTheirFormat) {
  const TempDir folder;
  const std::vector<float> values = {1, 2, 3, 4};
  const std::vector<NamedTensor> tensors = {{"w", {2, 2}, values}};
  const fs::path file = folder.file("model.safetensors", encode_safetensors(tensors, {{"epoch", "1"}}));
  const std::string script =
      "import json, struct, sys\n"
      "b = open(sys.argv[1], 'rb').read()\n"
      "n = struct.unpack('<Q', b[:8])[0]\n"
      "h = json.loads(b[8:8 + n])\n"
      "first, last = h['w']['data_offsets']\n"
      "print(h['w']['shape'], h['w']['dtype'], struct.unpack('<4f', b[8 + n + first:8 + n + last]), n % 8, "
      "h['__metadata__'])\n";
  ChildOptions python;
  python.argv = {"/usr/bin/python3", "-c", script, file.string()};
  const auto printed = run_and_read(python, Deadline::after(Milliseconds(30'000)));
  ASSERT_TRUE(printed) << printed.error().message;
  EXPECT_EQ(*printed, "[2, 2] F32 (1.0, 2.0, 3.0, 4.0) 0 {'epoch': '1'}\n");
}

TEST(Checkpoint, ComesBackAsItWas) {
  const TempDir folder;
  const Checkpoint c = sample();
  const auto path = publish_checkpoint(c, folder / "tmp", folder / "checkpoints");
  ASSERT_TRUE(path) << path.error().message;
  EXPECT_EQ(*path, folder / "checkpoints" / "3");
  EXPECT_FALSE(fs::exists(folder / "tmp"));
  const auto back = read_checkpoint(*path);
  ASSERT_TRUE(back) << back.error().message;
  EXPECT_EQ(back->weights, c.weights);
  EXPECT_EQ(back->best_weights, c.best_weights);
  EXPECT_EQ(back->optimizer.first, c.optimizer.first);
  EXPECT_EQ(back->optimizer.second, c.optimizer.second);
  EXPECT_EQ(back->optimizer.steps, 12);
  EXPECT_EQ(back->step, 12);
  EXPECT_EQ(back->fanout, c.fanout);
  EXPECT_EQ(back->products, c.products);
  EXPECT_EQ(back->history, c.history);
  EXPECT_EQ(encode_checkpoint(*back), encode_checkpoint(c));
}

TEST(Checkpoint, NamesTheFileThatIsDamaged) {
  const CheckpointFiles good = encode_checkpoint(sample());
  for (const auto& [name, bytes] : good) {
    for (size_t size : {size_t{0}, bytes.size() / 2, bytes.size() - 1}) {
      if (name == "checkpoint.json" && size + 1 == bytes.size()) continue;  // the newline at the end
      CheckpointFiles cut = good;
      cut[name] = bytes.substr(0, size);
      const auto read = decode_checkpoint(cut, "checkpoints/3");
      ASSERT_FALSE(read) << name << " " << size;
      EXPECT_EQ(read.error().cause, Cause::bad_data);
      EXPECT_TRUE(read.error().message.find("checkpoints/3/" + name) != std::string::npos)
          << read.error().message;
    }
    for (size_t i = 0; i < bytes.size(); i += name == "checkpoint.json" ? 1 : 7) {
      CheckpointFiles flipped = good;
      flipped[name][i] = static_cast<char>(flipped[name][i] ^ 0x20);
      const auto read = decode_checkpoint(flipped, "x");
      EXPECT_TRUE(name == "checkpoint.json" || !read) << name << " " << i;
    }
    CheckpointFiles missing = good;
    missing.erase(name);
    EXPECT_FALSE(decode_checkpoint(missing, "x")) << name;
  }
}

TEST(Checkpoint, OfANewerVersionIsRefusedByItsNumber) {
  CheckpointFiles files = encode_checkpoint(sample());
  std::string& index = files["checkpoint.json"];
  index.replace(index.find("\"version\": 1"), 12, "\"version\": 2");
  const auto read = decode_checkpoint(files, "x");
  ASSERT_FALSE(read);
  EXPECT_EQ(read.error().message, "x/checkpoint.json: version 2 is not 1, the one this program reads");
}

TEST(Checkpoint, ReplacesOneOfTheSameEpoch) {
  const TempDir folder;
  Checkpoint c = sample();
  ASSERT_TRUE(publish_checkpoint(c, folder / "tmp", folder / "checkpoints"));
  c.weights[0] = 42;
  const auto path = publish_checkpoint(c, folder / "tmp", folder / "checkpoints");
  ASSERT_TRUE(path) << path.error().message;
  EXPECT_EQ(read_checkpoint(*path)->weights[0], 42);
  EXPECT_FALSE(fs::exists(folder / "tmp.old"));
}

TEST(Checkpoint, TheLastTwoAndTheBestAreKept) {
  const TempDir folder;
  for (const char* name : {"1", "2", "3", "4", "5", "9", "notes"}) ASSERT_TRUE(create_folders(folder / name));
  ASSERT_TRUE(remove_old_checkpoints(folder.path(), 5, 2));
  std::set<std::string> left;
  for (const auto& entry : fs::directory_iterator(folder.path()))
    left.insert(entry.path().filename().string());
  EXPECT_EQ(left, (std::set<std::string>{"2", "4", "5", "9", "notes"}));
}

// A kill at any moment leaves the old one or the new one.
TEST(Checkpoint, IsThereAtEveryMomentWhileAnotherTakesItsPlace) {
  const TempDir folder;
  ASSERT_TRUE(create_folders(folder / "a"));
  ASSERT_TRUE(create_folders(folder / "b"));
  if (::renameat2(AT_FDCWD, (folder / "a").c_str(), AT_FDCWD, (folder / "b").c_str(), RENAME_EXCHANGE) != 0) {
    GTEST_SKIP() << "folders of this disk cannot change places";
  }
  Checkpoint c = sample();
  const auto path = publish_checkpoint(c, folder / "tmp", folder / "checkpoints");
  ASSERT_TRUE(path) << path.error().message;
  std::atomic<bool> done = false;
  std::atomic<int64_t> looks = 0, missing = 0;
  std::jthread looker([&] {
    while (!done) {
      ++looks;
      if (!fs::exists(*path)) ++missing;
    }
  });
  while (looks == 0) std::this_thread::yield();
  for (int round = 1; round <= 20; ++round) {
    c.weights[0] = static_cast<float>(round);
    EXPECT_TRUE(publish_checkpoint(c, folder / "tmp", folder / "checkpoints"));
  }
  done = true;
  looker.join();
  EXPECT_EQ(missing, 0) << "of " << looks << " looks";
  EXPECT_EQ(read_checkpoint(*path)->weights[0], 20);
  EXPECT_FALSE(fs::exists(folder / "tmp"));
}

TEST(Checkpoint, IsReadStrictly) {
  const CheckpointFiles good = encode_checkpoint(sample());
  const auto error_with = [&](auto change) {
    CheckpointFiles files = good;
    Json index = *Json::parse(files.at("checkpoint.json"));
    change(index);
    files["checkpoint.json"] = index.dump();
    const auto read = decode_checkpoint(files, "x");
    return read ? "" : read.error().message;
  };
  EXPECT_EQ(error_with([](Json&) {}), "");
  EXPECT_EQ(error_with([](Json& index) { index["colour"] = 1; }), "x/checkpoint.json: unknown key 'colour'");
  EXPECT_EQ(error_with([](Json& index) { index["files"]["notes.txt"] = Json::Object{}; }),
            "x/checkpoint.json: files: unknown key 'notes.txt'");
  EXPECT_EQ(error_with([](Json& index) { index["files"]["best.safetensors"]["mode"] = 1; }),
            "x/checkpoint.json: files: best.safetensors: unknown key 'mode'");
}

}  // namespace
}  // namespace gnnflow
