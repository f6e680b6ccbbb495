#pragma once

#include <algorithm>
#include <cstdint>

namespace tidegate::uplink {

/// When it is the turn of one that others go before, by the weights of both: of 3 and 1, it has one batch in four. What
/// it could not use while it was its turn is not saved up.
class Turn {
 public:
  Turn(std::uint64_t own, std::uint64_t others) : own_(own), others_(others) {}

  bool is_due() const { return owed_ >= others_; }
  /// One of the others went while it had something.
  void pass_over() { owed_ = std::min(owed_ + own_, others_ + own_); }
  void take() { owed_ -= std::min(owed_, others_); }
  /// It has nothing to send.
  void forget() { owed_ = 0; }

 private:
  std::uint64_t own_;
  std::uint64_t others_;
  std::uint64_t owed_ = 0;
};

}  // namespace tidegate::uplink
