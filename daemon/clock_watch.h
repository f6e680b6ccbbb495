#pragma once

#include <cstdint>
#include <optional>

#include "core/clock_history.h"
#include "daemon/pipeline.h"

namespace tidegate::daemon {

/// Notices that the wall clock was set, and that it came to be synced, by what lies between it and the boot clock; says
/// both in the stream `events` and to the history that corrects what was taken in before. That the clock is slewed
/// changes nothing here: boot time is slewed with it. Core thread; owns no timer: call look() when the kernel says that
/// the clock was set, and every second, because it does not always say so.
class ClockWatch {
 public:
  struct Parts {
    Pipeline* pipeline = nullptr;
    const Clock* clock = nullptr;
    ClockHistory* history = nullptr;
  };

  /// Takes the clock as it is now. What the history learns of it belongs into an event: first_anchor().
  explicit ClockWatch(Parts parts);

  const ClockAnchor& first_anchor() const { return first_; }
  void look();
  std::uint64_t steps() const { return steps_; }

 private:
  std::optional<ClockAnchor> read() const;

  Parts parts_;
  ClockAnchor last_;
  ClockAnchor first_;
  bool was_synced_ = false;  // in this process
  std::uint64_t steps_ = 0;
};

}  // namespace tidegate::daemon
