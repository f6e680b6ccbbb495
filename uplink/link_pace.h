#pragma once

#include <algorithm>
#include <cstdint>
#include <random>

#include "core/backoff.h"
#include "core/time.h"

namespace tidegate::uplink {

/// From when on a target may be sent to: while its link is up, not before it has asked to be left alone until, and not
/// at once where it takes connections and drops them at the first batch.
class LinkPace {
 public:
  LinkPace(Duration retry_first, Duration retry_most, std::uint64_t jitter_seed)
      : backoff_(retry_first, retry_most, jitter_seed), random_(jitter_seed) {}

  bool is_up() const { return is_up_; }
  /// How often it came up.
  std::uint64_t links() const { return links_; }
  BootTime ready_at() const { return std::max(held_back_until_, silent_until_); }

  /// Where the last connection worked, nothing is waited for.
  void up(BootTime now) {
    if (is_up_) return;
    is_up_ = true;
    ++links_;
    held_back_until_ = has_sent_ && !was_acknowledged_ ? now + backoff_.next() : BootTime::min();
    has_sent_ = was_acknowledged_ = false;
  }
  void down() { is_up_ = false; }
  void sent() { has_sent_ = true; }
  void acknowledged() {
    was_acknowledged_ = true;
    backoff_.reset();
  }
  /// Up to a tenth later, so that a fleet that was turned away together does not come back together.
  void leave_alone(BootTime now, Duration retry_after) {
    std::uniform_int_distribution<std::int64_t> jitter(0, retry_after.count() / 10);
    silent_until_ = std::max(silent_until_, now + retry_after + Duration(jitter(random_)));
  }

 private:
  Backoff backoff_;
  std::mt19937_64 random_;
  BootTime held_back_until_ = BootTime::min();
  BootTime silent_until_ = BootTime::min();  // as the target asked
  bool is_up_ = false;
  std::uint64_t links_ = 0;
  bool has_sent_ = false;  // since it came up
  bool was_acknowledged_ = false;
};

}  // namespace tidegate::uplink
