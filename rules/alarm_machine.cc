#include "rules/alarm_machine.h"

#include <limits>
#include <utility>

namespace tidegate::rules {
namespace {

// Times come from payloads, delays from a file: sums stop at the end of the axis.
std::int64_t sum(std::int64_t a, std::int64_t b) {
  std::int64_t result = 0;
  if (!__builtin_add_overflow(a, b, &result)) return result;
  return b > 0 ? std::numeric_limits<std::int64_t>::max() : std::numeric_limits<std::int64_t>::min();
}

}  // namespace

WallTime PendingDelay::end() const {
  const std::int64_t waited = sum(deadline.time_since_epoch().count(), -last.boot.time_since_epoch().count());
  return WallTime{Duration(sum(last.time.time_since_epoch().count(), waited))};
}

bool AlarmMachine::judge(Verdict verdict, const Reading& reading, Position position, BootTime boot,
                         const Delays& delays) {
  const bool wanted = raised_ ? verdict.clear : verdict.raise;
  if (!wanted) {
    is_pending_ = false;
    return false;
  }
  const Duration delay = raised_ ? delays.clear_after : delays.raise_after;
  const bool is_held = raised_ && delays.latch;
  if (delay <= Duration::zero() && !is_held) {
    turn(position);
    return true;
  }
  if (!is_pending_) {
    is_pending_ = true;
    pending_.first = position;
    pending_.deadline = BootTime{Duration(sum(boot.time_since_epoch().count(), delay.count()))};
  }
  pending_.last.position = position;
  pending_.last.boot = boot;
  pending_.last.time = reading.time;
  pending_.last.value = reading.value;
  return false;
}

void AlarmMachine::run_out() { turn(pending_.last.position); }

void AlarmMachine::turn(Position cause) {
  raised_ = !raised_;
  is_pending_ = false;
  last_transition_ = cause;
  if (raised_) occurrence_ = cause;
}

void AlarmMachine::adopt(AlarmState state, Position cause, Position occurrence) {
  const bool raised = state == AlarmState::raised;
  if (raised_ == raised && last_transition_ == cause) return;
  raised_ = raised;
  is_pending_ = false;
  occurrence_ = occurrence;
  last_transition_ = cause;
}

void AlarmMachine::restore_pending(PendingDelay pending) {
  pending_ = std::move(pending);
  is_pending_ = true;
}

}  // namespace tidegate::rules
