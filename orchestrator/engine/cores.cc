// Who uses how many cores of which machine.
#include "orchestrator/engine/cores.h"

#include <algorithm>

namespace gnnflow {

void Cores::add_machine(const std::string& machine, int cores) {
  int& known = machines_[machine];
  known = std::max({known, cores, 1});
}

int Cores::of(const std::string& machine) const {
  const auto found = machines_.find(machine);
  return found == machines_.end() ? 1 : found->second;
}

int Cores::used(const std::string& machine) const {
  int sum = 0;
  for (const auto& [who, claims] : claimed_) {
    if (const auto found = claims.find(machine); found != claims.end()) sum += found->second;
  }
  return sum;
}

bool Cores::fits(const Claims& claims) const {
  return std::all_of(claims.begin(), claims.end(), [&](const auto& claim) {
    const int cores = of(claim.first);
    return claim.second <= 0 || used(claim.first) + std::min(claim.second, cores) <= cores;
  });
}

bool Cores::meet(const Claims& some, const Claims& others) {
  return std::any_of(some.begin(), some.end(), [&](const auto& claim) {
    const auto found = others.find(claim.first);
    return claim.second > 0 && found != others.end() && found->second > 0;
  });
}

void Cores::claim(const std::string& who, const Claims& claims) {
  Claims& mine = claimed_[who];
  for (const auto& [machine, cores] : claims) mine[machine] = std::min(cores, of(machine));
}

void Cores::release(std::string_view who) {
  if (const auto found = claimed_.find(who); found != claimed_.end()) claimed_.erase(found);
}

std::string Cores::blocker(const Claims& claims) const {
  for (const auto& [machine, cores] : claims) {
    if (fits({{machine, cores}})) continue;
    for (const auto& [who, theirs] : claimed_) {
      if (const auto found = theirs.find(machine); found != theirs.end() && found->second > 0) return who;
    }
  }
  return "";
}

}  // namespace gnnflow
