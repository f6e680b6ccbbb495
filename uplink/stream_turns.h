#pragma once

#include <array>
#include <cstdint>

#include "core/record.h"
#include "uplink/lane.h"
#include "uplink/options.h"
#include "uplink/turn.h"

namespace tidegate::uplink {

/// Whose turn it is among the streams of an uplink and the lanes of its readings. Alarms go first, then events, then
/// readings; but who has been passed over often enough, by the weights, goes once before all others. Passive.
class StreamTurns {
 public:
  explicit StreamTurns(const LaneWeights& weights);

  /// In this order they are read and sent,
  static constexpr std::array<Stream, kStreamCount> kPriority{Stream::alarms, Stream::events, Stream::readings};
  /// but before all others who is due: readings first, so that events have their turns among those of alarms.
  static constexpr std::array<Stream, 2> kDuePriority{Stream::readings, Stream::events};

  bool is_due(Stream stream) const {
    return (stream == Stream::events && events_.is_due()) || (stream == Stream::readings && readings_.is_due());
  }
  /// Which of a stream's lanes is asked first.
  std::array<Lane, 2> lane_order(Stream stream) const {
    const bool backlog_is_due = stream == Stream::readings && backlog_.is_due();
    return backlog_is_due ? std::array{Lane::backlog, Lane::live} : std::array{Lane::live, Lane::backlog};
  }

  /// Who has something to send.
  struct Waiting {
    bool readings = false;
    bool events = false;
    bool backlog = false;
  };
  /// A batch of that lane goes.
  void count(LaneOf sent, const Waiting& waiting);

 private:
  Turn events_;
  Turn readings_;  // beside alarms and events
  Turn backlog_;   // beside what is current
};

/// What readings weigh beside alarms, of both lanes together.
std::uint64_t weight_of_readings(const LaneWeights& weights);

}  // namespace tidegate::uplink
