// Who uses how many cores of which machine: steps run together when their claims fit.
#pragma once

#include <map>
#include <string>
#include <string_view>

namespace gnnflow {

// Machine (boot id) -> cores.
using Claims = std::map<std::string, int>;

class Cores {
 public:
  // A machine that is not known yet; the largest count that one of its host entries reported.
  void add_machine(const std::string& machine, int cores);
  int of(const std::string& machine) const;

  // A claim above what the machine has is taken as all of it.
  bool fits(const Claims& claims) const;
  static bool meet(const Claims& some, const Claims& others);  // both want cores of one machine
  void claim(const std::string& who, const Claims& claims);
  void release(std::string_view who);
  // Somebody who stands in the way of the claims; empty: nobody.
  std::string blocker(const Claims& claims) const;

 private:
  int used(const std::string& machine) const;
  std::map<std::string, int> machines_;
  std::map<std::string, Claims, std::less<>> claimed_;
};

}  // namespace gnnflow
