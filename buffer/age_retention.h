#pragma once

#include <cstdint>
#include <optional>

#include "core/record.h"

namespace tidegate::buffer {

/// Decides up to when stored readings are too old. A wrong clock must not delete anything: nothing is too old while the
/// clock is not synced, and after the clock has gone forward by more than a day (against this boot's time, or against
/// the newest record of an earlier boot) the new time counts only when it was seen to hold twice. Core thread.
class AgeRetention {
 public:
  /// `newest` is the wall time of the newest stored record, if there is one.
  AgeRetention(std::optional<Duration> max_age, std::optional<WallTime> newest) : max_age_(max_age), newest_(newest) {}

  /// When limit() is to be asked again; nothing when age does not matter.
  std::optional<BootTime> next_check() const { return max_age_ ? std::optional(next_check_) : std::nullopt; }
  /// What was taken in before this is too old; nothing while that cannot be told.
  std::optional<WallTime> limit(const FrameTimes& now);

 private:
  struct Seen {
    WallTime wall{};
    BootTime boot{};
  };
  bool is_trusted(const FrameTimes& now);
  bool jumped(const FrameTimes& now) const;

  std::optional<Duration> max_age_;
  std::optional<WallTime> newest_;  // only until the clock was trusted once
  BootTime next_check_{};
  std::optional<Seen> trusted_;
  std::optional<Seen> doubted_;  // the time after a jump, when it was seen to hold last
  int confirmations_ = 0;
};

}  // namespace tidegate::buffer
