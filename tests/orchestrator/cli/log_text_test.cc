// Logs as they are shown.
#include "orchestrator/cli/log_text.h"

#include <gtest/gtest.h>

namespace gnnflow {
namespace {

std::string shown(const std::vector<std::string>& pieces) {
  std::string text;
  LogText log([&](std::string_view more) { text += more; });
  for (const std::string& piece : pieces) log.put(piece);
  log.finish();
  return text;
}

TEST(LogText, EndsWithAWholeLine) {
  EXPECT_EQ(shown({"one\ntwo"}), "one\ntwo\n");
  EXPECT_EQ(shown({"one\n", "two\n"}), "one\ntwo\n");
  EXPECT_EQ(shown({"", ""}), "");
}

TEST(LogText, SaysHowMuchWasDroppedWhereverThePiecesAreCut) {
  const std::string log = "first" + std::string(2048, '\0') + "last\n";
  const std::string whole = "first\n[2.0 KiB were dropped]\nlast\n";
  EXPECT_EQ(shown({log}), whole);
  for (size_t cut : {5, 6, 1000, 2052, 2053, 2054}) {
    EXPECT_EQ(shown({log.substr(0, cut), log.substr(cut)}), whole) << cut;
  }
  EXPECT_EQ(shown({"a\n" + std::string(3, '\0')}), "a\n[3 B were dropped]\n");
}

TEST(LogText, KnowsALogThatIsThereAndEmpty) {
  LogText log([](std::string_view) {});
  EXPECT_FALSE(log.any());
  log.put("");
  EXPECT_TRUE(log.any());
}

}  // namespace
}  // namespace gnnflow
