#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "core/record.h"
#include "core/tag.h"
#include "rules/alarm.h"
#include "rules/options.h"

namespace tidegate::rules {

/// An alarm that is raised now.
struct ActiveAlarm {
  AlarmTransition raised;
  std::optional<AlarmTransition> acknowledged{};
  std::optional<AlarmTransition> shelved{};
};

/// Who does something to an alarm, as they say, what they say of it, and when.
struct Operator {
  std::string name;
  std::string note;
  WallTime at{};
};

/// Judges readings in log order and says which alarms rise and clear. Decides only by what is in the log: values,
/// sequences and logged boot times; so a replay decides the same. Passive: no thread, no timer, no clock. Core thread.
///
/// Readings of quality bad, nulls and texts are as if they were not there: they neither begin nor end a delay, and do
/// not stop one that runs. Readings of quality uncertain are judged.
///
/// A delay runs from the first reading that met the condition, and ends with its transition at its deadline exactly,
/// whether a tick or the next reading finds that it has passed. That transition's cause is the newest record judged
/// for the tag, its value is that record's, and its time is the deadline on the axis of that record's time. Without a
/// delay the reading itself is the cause. When the boot time goes back or the boot's id changes, pending delays are
/// forgotten and begin anew with the next reading. A latched alarm clears when it is acknowledged and its end holds,
/// which runs its delay meanwhile; the time of that is the acknowledgement's, when the end came before.
///
/// Operators acknowledge raises and shelve alarms: a shelved one rises and clears as ever, and says that it is shelved.
///
/// Restart: restore() with what save() returned at a checkpoint, observe_logged() with the tail of the stream `alarms`
/// (from the checkpoint on at least), apply() with the readings behind the checkpoint's position, then tick() once.
/// Transitions that the log already holds come out no second time; those that it misses come out now. Where replay and
/// log disagree (readings lost, rule changed), the log's last word on an alarm holds from there on.
/// What save() returns must not become durable before the readings that it has applied and every transition handed
/// out. Claim the tags that have a unit before replaying, or messages will miss it. When rules change while running:
/// restore() the old engine's save() and observe_logged() its active(), and what it raised is cleared in time.
class RuleEngine {
 public:
  RuleEngine(std::vector<RuleOptions> rules, TagRegistry& tags);
  ~RuleEngine();

  /// Judges a batch of `readings`; appends transitions in order. Batches overlapping what was applied are skipped up
  /// to there.
  void apply(const RecordBatch& batch, std::vector<AlarmTransition>& out);

  /// Lets delays run out that no reading would end. `now` carries the time of this boot, whose id is `boot_id` (all
  /// zero: not known); a delay of another boot never runs out, however late in this one it is: it is forgotten.
  /// Everything that the log has taken in before `now` must have been applied.
  void tick(const FrameTimes& now, const BootId& boot_id, std::vector<AlarmTransition>& out);

  /// Somebody has seen the raise that holds now; a second time says nothing new. Error `invalid`: it is not raised, or
  /// not by the record that is `seen`.
  Result<void> acknowledge(const std::string& alarm, const Operator& by, std::vector<AlarmTransition>& out,
                           std::optional<Position> seen = std::nullopt);
  /// Sets an alarm aside, raised or not. Error `invalid`: no rule has this alarm, or there is no such tag.
  Result<void> shelve(const std::string& alarm, WallTime until, const Operator& by, std::vector<AlarmTransition>& out);
  /// Error `invalid`: it is not shelved.
  Result<void> unshelve(const std::string& alarm, const Operator& by, std::vector<AlarmTransition>& out);
  /// Ends what was shelved until `now` or before.
  void end_shelving(WallTime now, std::vector<AlarmTransition>& out);
  std::optional<WallTime> next_end_of_shelving() const;
  /// The wall clock was set by so much. What was shelved in this process ends so much later, as it went by that clock.
  void clock_was_set(Duration by);
  /// What is shelved, raised or not, by id.
  std::vector<AlarmTransition> shelved() const;

  /// When tick() has something to do next, in the time of the boot that the last apply() or tick() was of.
  std::optional<BootTime> next_deadline() const;

  /// State of all rules with the position behind the last applied reading, as text (JSON), for the state database.
  std::string save() const;
  /// Error `corrupt` when the text is not what save() writes: the engine is then as new. State of rules that are no
  /// longer configured, or were changed in what they decide by, is dropped.
  Result<void> restore(std::string_view saved);
  /// An alarm record that the log holds, in order; call between restore() and the first apply().
  void observe_logged(const AlarmTransition& transition);

  /// The position behind the last applied reading; {0,0} before the first.
  Position position() const;
  std::vector<ActiveAlarm> active() const;
  /// Names of the rules that match none of the tags that are known by now.
  std::vector<std::string> idle_rules() const;

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace tidegate::rules
