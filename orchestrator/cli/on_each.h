// Hosts are worked on all at once: none waits for another.
#pragma once

#include <thread>
#include <vector>

namespace gnnflow {

// Calls `work` for each of the things, each on a thread of its own, and returns when all have ended.
template <typename Thing, typename Work>
void on_each(std::vector<Thing>& things, const Work& work) {
  std::vector<std::jthread> threads;
  for (Thing& thing : things) threads.emplace_back([&work, &thing] { work(thing); });
}

}  // namespace gnnflow
