#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "core/error.h"
#include "core/record.h"
#include "rules/options.h"

namespace tidegate::rules {

/// The first two are what rules decide, the others what operators do.
enum class AlarmState : std::uint8_t { raised, cleared, acknowledged, shelved, unshelved };

/// One transition of an alarm: a record of the stream `alarms`.
struct AlarmTransition {
  std::string alarm;  // stable id: "rule/tag"
  std::string rule;
  std::string tag;
  AlarmState state = AlarmState::raised;
  Severity severity = Severity::warning;
  std::string message;
  Value value;
  WallTime time{};
  Position cause;  // the record of `readings` that brought this transition about; of operators: behind the last judged
  Position occurrence;     // the record that raised it; equals `cause` for a raise. {0,0} where nothing is raised
  std::string by{};        // of operators: who, as they say
  std::string note{};      // and what they have to say
  bool is_raised = false;  // of operators: whether it is raised at that time
  WallTime until{};        // of shelved: when it ends by itself
  bool operator==(const AlarmTransition&) const = default;
};

/// The JSON object that is stored and sent, without "seq": alarm, rule, tag, state, severity, message, value, time,
/// time_ns where finer than a millisecond, cause and occurrence as {"epoch","seq"}; of operators also
/// "raised", "by" and "note" where they were given, and "until" of what is shelved.
std::string to_document(const AlarmTransition& transition);
Result<AlarmTransition> parse_alarm_document(std::string_view document);

const char* to_string(AlarmState state);
/// Whether a rule brings it about, and not an operator.
constexpr bool is_of_rule(AlarmState state) { return state == AlarmState::raised || state == AlarmState::cleared; }

}  // namespace tidegate::rules
