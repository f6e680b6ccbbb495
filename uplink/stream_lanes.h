#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>

#include "uplink/lane.h"
#include "uplink/stream_chain.h"

namespace tidegate::uplink {

/// One stream of one uplink as one chain or, with live-first, as two: the lane live, and the lane backlog, which goes
/// through the stretches that the lane live left to it, oldest first, each exactly to its end
///
///   done | stretch ... | done by live | stretch ... | lane live ... announced end
///
/// Where the last one is done, there is one chain again. Passive; part of a Forwarder.
class StreamLanes {
 public:
  StreamLanes(Stream stream, const StreamChain::Parts& parts, std::uint64_t jitter_seed);

  void restore(const LanePlaces& places, const Accounting& accounting, bool replay);
  /// See Forwarder::move: there is one chain again.
  void move(const CursorMove& move);
  bool is_replay_marked() const { return live_.is_replay_marked() || backlog_.is_replay_marked(); }

  StreamChain& chain(Lane lane) { return lane == Lane::live ? live_ : backlog_; }
  const StreamChain& chain(Lane lane) const { return lane == Lane::live ? live_ : backlog_; }
  bool has_backlog() const { return !stretches_.empty(); }

  /// Leaves to the lane backlog what the lane live has not delivered, up to the end that was announced. False, and
  /// nothing changed, when there are too many stretches already. Only while the lane live has nothing in flight.
  bool leave_to_backlog();
  /// After all that may have completed a stretch.
  void settle();

  LanePlaces places() const;
  /// The oldest that is not acknowledged, and not passed.
  Cursor cursor() const { return has_backlog() ? backlog_.cursor() : live_.cursor(); }
  Accounting accounting() const;
  std::uint64_t backlog() const;

 private:
  std::uint64_t open() const;

  TakenBatches evidence_;
  StreamChain live_;
  StreamChain backlog_;
  std::deque<SkippedStretch> stretches_;  // the cursor of the first is that of `backlog_`
};

}  // namespace tidegate::uplink
