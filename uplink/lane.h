#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <iterator>

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

/// One for each lane of each stream.
template <class T>
class PerLane {
 public:
  T& operator[](LaneOf of) { return all_[index_of(of)]; }
  const T& operator[](LaneOf of) const { return all_[index_of(of)]; }
  auto begin() const { return all_.begin(); }
  auto end() const { return all_.end(); }

 private:
  static constexpr std::size_t index_of(LaneOf of) {
    return static_cast<std::size_t>(of.stream) * std::size(kAllLanes) + static_cast<std::size_t>(of.lane);
  }
  std::array<T, kStreamCount * std::size(kAllLanes)> all_{};
};

/// With so many stretches left to the lane backlog, the lane live leaves nothing more out: it goes in order until one
/// of them is done.
inline constexpr std::size_t kStretchesMost = 16;

}  // namespace tidegate::uplink
