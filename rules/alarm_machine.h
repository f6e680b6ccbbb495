#pragma once

#include "core/record.h"
#include "rules/alarm.h"

namespace tidegate::rules {

/// A reading as far as an alarm remembers it.
struct JudgedRecord {
  Position position;
  BootTime boot{};
  WallTime time{};
  Value value;
};

/// What one reading says about an alarm; both may be false (inside the hysteresis), never rely on both being true.
struct Verdict {
  bool raise = false;
  bool clear = false;
};

struct Delays {
  Duration raise_after{};
  Duration clear_after{};
  bool latch = false;  // does not clear before it is acknowledged
};

/// A delay that has begun and not run out.
struct PendingDelay {
  Position first;  // the record that began it
  BootTime deadline{};
  JudgedRecord last;  // the newest record judged: the cause of the transition to come

  /// When it runs out, on the axis of the readings' own times.
  WallTime end() const;
};

/// The two states of one alarm and the delay between them. Passive: told of each judged reading and of the time.
/// A reading makes a transition itself only where there is no delay; otherwise the delay runs out, at its deadline
/// exactly, whether a tick or the next reading finds that out: so both decide the same.
class AlarmMachine {
 public:
  /// True when the reading made a transition. `value` and `time` are looked at only while a delay is pending. With
  /// `delays.latch` the end of a raised alarm is pending as long as it holds, however short the delay.
  bool judge(Verdict verdict, const Reading& reading, Position position, BootTime boot, const Delays& delays);

  /// Ends the pending delay with its transition.
  void run_out();

  /// The condition counts as not met since; a later reading begins anew.
  void cancel() { is_pending_ = false; }

  /// Takes over what the alarm stream holds, unless this machine made that very transition itself.
  void adopt(AlarmState state, Position cause, Position occurrence);

  void restore_pending(PendingDelay pending);
  void restore_last_transition(Position cause) { last_transition_ = cause; }

  bool raised() const { return raised_; }
  bool is_pending() const { return is_pending_; }
  const PendingDelay& pending() const { return pending_; }
  /// The cause of the raise that holds now, or held last.
  Position occurrence() const { return occurrence_; }
  Position last_transition() const { return last_transition_; }

 private:
  void turn(Position cause);

  bool raised_ = false;
  bool is_pending_ = false;
  Position occurrence_;
  Position last_transition_;
  PendingDelay pending_;
};

}  // namespace tidegate::rules
