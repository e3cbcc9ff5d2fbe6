// Tunables of the C library's allocator.
#include "worker/trainer/environment.h"

#include <limits>

#include <malloc.h>

namespace gnnflow {

void keep_freed_memory() {
  mallopt(M_MMAP_THRESHOLD, std::numeric_limits<int>::max());
  mallopt(M_TRIM_THRESHOLD, std::numeric_limits<int>::max());
  mallopt(M_TOP_PAD, 64 << 20);
}

}  // namespace gnnflow
