#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

#include "core/time.h"

namespace tidegate::uplink {

/// How many batches of the lane backlog may be on their way. A target that takes one after the other has what is
/// current wait behind all of them, and is no faster for more than two; a long link is filled by many. How much longer
/// an answer takes than one to a batch alone tells how many wait somewhere,
///
///   sent together * (1 - alone / time of the answer),
///
/// and about one is what keeps the target busy. Now and then a batch goes alone, to learn how long that takes by now;
/// what is over before the first time goes without a bound.
/// (L. Brakmo, L. Peterson, "TCP Vegas: End to End Congestion Avoidance on a Global Internet", 1995; batches alone: N.
/// Cardwell et al., "BBR: Congestion-Based Congestion Control", 2016.) Passive, core thread.
class BacklogWindow {
 public:
  explicit BacklogWindow(std::size_t most) : most_(most), size_(most) {}

  /// From 1 to `most`.
  std::size_t size() const { return learns_ ? 1 : size_; }

  /// `together`: how many are on their way now, with this one.
  void sent(std::uint64_t batch_id, std::size_t bytes, std::size_t together, BootTime now);
  void acknowledged(std::uint64_t batch_id, BootTime now);
  /// It is not known how long an answer takes to what is on its way.
  void forget() { on_their_way_.clear(); }

 private:
  struct OnItsWay {
    std::uint64_t id = 0;
    std::size_t bytes = 0;
    BootTime at{};
    std::size_t together = 0;
  };
  struct Answer {
    Duration time{};
    std::size_t together = 0;
  };

  void learn(const Answer& answer, BootTime now);
  void adjust();

  const std::size_t most_;
  std::size_t size_;
  std::vector<OnItsWay> on_their_way_;
  bool learns_ = false;
  bool has_learned_ = false;
  std::optional<BootTime> learns_at_{};
  Duration alone_{};
  std::size_t bytes_most_ = 0;     // since it learned
  unsigned small_ = 0;             // answers to a batch alone that was small, while it learns
  std::optional<Answer> fastest_;  // of a round of `size_` answers
  std::size_t answers_ = 0;        // in the round
};

}  // namespace tidegate::uplink
