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
  /// where a third of what waits now has waited for a minute or two: else it is a burst, or a batch on its way.
  std::optional<Duration> time_left() const;

 private:
  void smooth(BootTime now, std::uint64_t unpassed_bytes);
  void note_least(BootTime now, std::uint64_t unpassed_bytes);
  bool is_filling() const;

  StreamFill fill_;
  int level_ = 0;  // index behind the highest level reached
  std::optional<BootTime> first_at_;
  BootTime seen_at_{};
  std::optional<double> rate_;  // bytes a second by which the fill grows, smoothed
  BootTime minute_began_{};
  std::uint64_t least_ = 0;         // unpassed, since then
  std::uint64_t least_before_ = 0;  // in the minute before
};

}  // namespace tidegate::buffer
