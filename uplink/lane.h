#pragma once

#include <cstddef>
#include <cstdint>

#include "core/record.h"

namespace tidegate::uplink {

/// With live-first a stream has two chains of batches: what is current, and beside it what that left out.
enum class Lane : std::uint8_t { live = 0, backlog = 1 };
inline constexpr Lane kAllLanes[] = {Lane::live, Lane::backlog};

constexpr const char* to_string(Lane lane) { return lane == Lane::live ? "live" : "backlog"; }

/// A lane of a stream; of one that has no other, the only one.
struct LaneOf {
  constexpr LaneOf(Stream of, Lane which = Lane::live)
      : stream(of), lane(which) {}  // NOLINT: a stream stands for its lane
  Stream stream;
  Lane lane;
  bool operator==(const LaneOf&) const = default;
};

/// With so many stretches left to the lane backlog, the lane live leaves nothing more out: it goes in order until one
/// of them is done.
inline constexpr std::size_t kStretchesMost = 16;

}  // namespace tidegate::uplink
