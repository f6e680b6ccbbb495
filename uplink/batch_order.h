#pragma once

#include <cstdint>
#include <optional>

#include "core/record.h"
#include "uplink/forwarder.h"
#include "uplink/lane.h"

namespace tidegate::uplink {

/// Where a batch stands in its chain.
struct BatchPlace {
  explicit BatchPlace(const OutgoingBatch& batch);
  LaneOf of;
  std::uint64_t round;
  Position from;
  bool is_beside;  // in none
};

/// Keeps the order of each chain over a target that is given several batches at a time: behind one that failed nothing
/// of its chain is taken until that one comes again, or the chain has gone elsewhere. What is outside of the chains is
/// always taken. Passive; one thread.
class BatchOrder {
 public:
  /// It is to be failed then, and nothing more. Ask once for each batch, in the order in which they come.
  bool comes_too_early(const BatchPlace& batch);
  void on_taken(const BatchPlace& batch);
  /// Of any that was taken, however late, or was to be.
  void on_failed(const BatchPlace& batch);
  bool is_waiting(LaneOf of) const { return chains_[of].awaited.has_value(); }

 private:
  struct Chain {
    std::uint64_t round = 0;
    std::optional<Position> awaited;  // the oldest that failed
  };
  Chain& chain_of(const BatchPlace& batch);
  PerLane<Chain> chains_;
};

}  // namespace tidegate::uplink
