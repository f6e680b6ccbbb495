#pragma once

#include <map>
#include <optional>
#include <vector>

#include "core/record.h"

namespace tidegate {

/// What the wall clock of a boot showed from one moment on.
struct ClockAnchor {
  BootId boot_id{};
  BootTime boot{};    // of that moment
  Duration offset{};  // wall time less boot time; only setting the clock changes it, slewing does not
  ClockQuality quality = ClockQuality::unsynced;
};

/// Where the wall clocks of boots stood, as far as is known, and what follows for records that were taken in before
/// their clock was set. Boot times of a boot are all on one axis, so a clock that is right later tells what the time
/// was before. The same anchors give the same answers, whenever and in whatever order they were added. One thread.
class ClockHistory {
 public:
  /// All zero: the id of this boot is not known.
  explicit ClockHistory(BootId this_boot = {}) : this_boot_(this_boot) {}

  const BootId& this_boot() const { return this_boot_; }
  /// Anchors of an unsynced clock tell nothing and are left out.
  void add(const ClockAnchor& anchor);
  /// How much later the frame was taken in than its wall time says, in whole milliseconds; nothing where the frame's
  /// own time is as good as any. What counts is the first anchor behind the frame that is better than its clock was:
  /// synced before an estimate; and an `estimated` clock that was synced earlier in its boot is not corrected.
  std::optional<Duration> shift(const BootId& boot_id, const FrameTimes& times) const;

 private:
  using Anchors = std::vector<ClockAnchor>;  // of one boot, by time

  BootId this_boot_;
  std::map<BootId, Anchors> boots_;
};

}  // namespace tidegate
