// Blocks: what the sampler makes and the model eats. Plain arrays in reused, 64-byte aligned buffers.
#pragma once

#include <cstdint>
#include <cstdlib>
#include <memory>
#include <new>
#include <span>
#include <vector>

#include "common/graph/ids.h"

namespace gnnflow {

// A vector whose memory is 64-byte aligned, never shrinks, and is not cleared by resize.
template <typename T>
class Buffer {
 public:
  Buffer() = default;
  Buffer(Buffer&& other) noexcept { swap(other); }
  Buffer& operator=(Buffer&& other) noexcept {
    swap(other);
    return *this;
  }
  ~Buffer() { std::free(data_); }

  void clear() { size_ = 0; }
  void resize(size_t size) {  // old content stays, new is not initialised
    reserve(size);
    size_ = size;
  }
  void reserve(size_t capacity);
  void push_back(T value) {
    if (size_ == capacity_) reserve(size_ + size_ / 2 + 64);
    data_[size_++] = value;
  }
  size_t size() const { return size_; }
  bool empty() const { return size_ == 0; }
  T* data() { return data_; }
  const T* data() const { return data_; }
  T& operator[](size_t i) { return data_[i]; }
  const T& operator[](size_t i) const { return data_[i]; }
  T* begin() { return data_; }
  T* end() { return data_ + size_; }
  const T* begin() const { return data_; }
  const T* end() const { return data_ + size_; }
  std::span<const T> span() const { return {data_, size_}; }
  std::span<T> span() { return {data_, size_}; }
  void swap(Buffer& other) noexcept {
    std::swap(data_, other.data_);
    std::swap(size_, other.size_);
    std::swap(capacity_, other.capacity_);
  }

 private:
  T* data_ = nullptr;
  size_t size_ = 0, capacity_ = 0;
};

template <typename T>
void Buffer<T>::reserve(size_t capacity) {
  if (capacity <= capacity_) return;
  const size_t bytes = (capacity * sizeof(T) + 63) / 64 * 64;
  auto* fresh = static_cast<T*>(std::aligned_alloc(64, bytes));
  if (fresh == nullptr) throw std::bad_alloc();
  for (size_t i = 0; i < size_; ++i) fresh[i] = data_[i];
  std::free(data_);
  data_ = fresh;
  capacity_ = bytes / sizeof(T);
}

// One hop over one relation. Destination i has the edges offsets[i] .. offsets[i+1].
struct Block {
  Buffer<int32_t> offsets;  // [destinations + 1]
  Buffer<int32_t>
      sources;  // local: positions in the source list; in an unrelabelled leaf block: new ids (global)
  bool relabelled = true;

  int64_t destinations() const { return static_cast<int64_t>(offsets.size()) - 1; }
  int64_t edge_count() const { return static_cast<int64_t>(sources.size()); }
};

// All hops of one batch of one node type and relation (typed graphs: one such set per type and relation,
// later). blocks[0] is the layer nearest the input. nodes[l] are the new ids that layer l reads; nodes.back()
// are the seeds, each once, in order. A layer's destinations are the first entries of its source list:
// nodes[l][0 .. nodes[l+1].size()) == nodes[l+1]. With unrelabelled leaves nodes[0] is just nodes[1] (self
// rows), and blocks[0].sources are new ids.
struct Batch {
  std::vector<Block> blocks;
  std::vector<Buffer<int32_t>>
      nodes;  // size blocks.size() + 1; new ids (32 bit: a part's graph has fewer than 2^31)

  std::span<const int32_t> seeds() const { return nodes.back().span(); }
  std::span<const int32_t> inputs() const { return nodes.front().span(); }
};

}  // namespace gnnflow
