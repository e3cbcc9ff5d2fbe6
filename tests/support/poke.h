// Damage on disk: single elements of arrays overwritten.
#pragma once

#include <fstream>

#include <gtest/gtest.h>

#include "common/graph/array_file.h"

namespace gnnflow {

// Overwrites element `at`; size and header stay.
template <typename T>
void poke(const fs::path& path, int64_t at, T value) {
  const int64_t header =
      static_cast<int64_t>(fs::file_size(path)) - Array::open(path)->rows() * Array::open(path)->row_bytes();
  std::fstream file(path, std::ios::binary | std::ios::in | std::ios::out);
  file.seekp(header + at * static_cast<int64_t>(sizeof(T)));
  file.write(reinterpret_cast<const char*>(&value), sizeof(T));
  ASSERT_TRUE(file.good());
}

}  // namespace gnnflow
