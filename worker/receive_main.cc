// gnnflow-receive: the first program on a machine that has nothing of ours.
#include <cstdio>
#include <cstring>

#include <unistd.h>

#include "common/base/result.h"
#include "worker/receive/receiver.h"

int main(int count, char** words) {
  if (count == 2 && std::strcmp(words[1], "--version") == 0) {
    std::puts("gnnflow-receive " GNNFLOW_VERSION);
    return 0;
  }
  if (count != 1) {
    std::fputs("usage: gnnflow-receive\nSpeaks with a controller on stdin and stdout.\n", stderr);
    return gnnflow::exit_code(gnnflow::Cause::bad_usage);
  }
  return gnnflow::receiver_main(STDIN_FILENO, STDOUT_FILENO);
}
