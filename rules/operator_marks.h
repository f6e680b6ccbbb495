#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "rules/alarm.h"

namespace tidegate::rules {

/// What operators have said of alarms: which raise they have seen, and which alarms are set aside for a while
/// (shelved; ISA-18.2). Records of the stream `alarms`, of which the newest counts.
class OperatorMarks {
 public:
  /// `said` is acknowledged, shelved or unshelved; others change nothing.
  void take(const AlarmTransition& said);
  /// The raise at `occurrence` is over.
  void forget_acknowledgement(const std::string& alarm, Position occurrence);
  void clear();

  /// The acknowledgement of the raise at `occurrence`.
  const AlarmTransition* acknowledgement(const std::string& alarm, Position occurrence) const;
  const AlarmTransition* shelving(const std::string& alarm) const;
  /// By id.
  const std::map<std::string, AlarmTransition>& shelved() const { return shelved_; }
  /// The wall clock was set by so much: these end so much later.
  void move_ends(const std::vector<std::string>& alarms, Duration by);
  /// When the first of these ends.
  std::optional<WallTime> next_end() const;

  /// All of it, for take().
  std::vector<AlarmTransition> all() const;

 private:
  std::map<std::string, AlarmTransition> acknowledged_;  // by alarm
  std::map<std::string, AlarmTransition> shelved_;
};

}  // namespace tidegate::rules
