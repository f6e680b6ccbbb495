#pragma once

#include <cstdint>
#include <optional>

#include "buffer/ring_log.h"
#include "core/time.h"

namespace tidegate::buffer {

/// Watches one stream's ring fill with what not every uplink has passed, and says when 50, 80 and 95 % are reached and
/// how long it lasts at the present rate. A level speaks again only after the fill has been clearly below it. Passive;
/// ask it about once a second.
class FillWatch {
 public:
  struct Change {
    int percent = 0;  // the level that was reached, or that was left
    bool rising = true;
  };

  /// The fill at `now`; what is to be told of it.
  std::optional<Change> update(const StreamFill& fill, BootTime now);
  /// Until the ring is full at the present rate; nothing while it does not fill. Below half of it that is told only
  /// once nothing has left for a minute, or the least of a minute has clearly grown: else it is a burst, or what is on
  /// its way.
  std::optional<Duration> time_left() const;

 private:
  void smooth(BootTime now, std::uint64_t unpassed_bytes);
  void judge(BootTime now, std::uint64_t unpassed_bytes);

  StreamFill fill_;
  int level_ = 0;  // index behind the highest level reached
  std::optional<BootTime> first_at_;
  BootTime seen_at_{};
  std::optional<double> rate_;  // bytes a second by which the fill grows, smoothed
  /// A minute of what is unpassed, bytes.
  struct Minute {
    BootTime began{};
    std::uint64_t first = 0;
    std::uint64_t least = 0;
    std::uint64_t most = 0;
    bool has_fallen = false;
  };
  std::optional<Minute> minute_;
  std::optional<std::uint64_t> least_before_;  // in the minute before
  std::uint64_t newest_ = 0;
  bool filling_ = false;
  std::uint64_t most_ = 0;  // since it fills
};

}  // namespace tidegate::buffer
