// Text through pipes.
#include "common/base/pipe_text.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include "common/base/file.h"

namespace gnnflow {
namespace {

struct Pipe {
  FileDescriptor from, to;
  Pipe() {
    int ends[2];
    if (::pipe(ends) != 0) bug("no pipe");
    from = FileDescriptor(ends[0]);
    to = FileDescriptor(ends[1]);
  }
};

TEST(PipeText, IsReadWholeOnceTheWriterHasClosedIt) {
  Pipe pipe;
  const std::string text(10'000, 'x');  // more than one reading, less than a pipe holds
  write_text(pipe.to.get(), text);
  write_text(pipe.to.get(), "end");
  pipe.to.reset();
  EXPECT_EQ(read_to_end(pipe.from.get()), text + "end");
}

TEST(PipeText, IsNotReadWithoutEnd) {
  Pipe pipe;
  write_text(pipe.to.get(), std::string(10'000, 'x'));  // and stays open
  const size_t size = read_to_end(pipe.from.get(), 5'000).size();
  EXPECT_GE(size, 5'000u);
  EXPECT_LT(size, 10'000u);
}

}  // namespace
}  // namespace gnnflow
