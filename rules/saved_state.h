#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "rules/alarm_machine.h"
#include "rules/ewma.h"

namespace tidegate::rules {

/// What the engine remembers of one alarm. An alarm that is as new is left out.
struct SavedAlarm {
  std::string tag;
  Position last_transition;
  std::optional<AlarmTransition> raised;  // the raise that holds now
  std::optional<PendingDelay> pending;
  std::optional<Ewma::State> baseline;
};

struct SavedRule {
  std::string rule;
  std::string fingerprint;  // the options that decide; another one makes the alarms' state worthless
  std::vector<SavedAlarm> alarms;
};

struct SavedState {
  Position position;
  BootTime boot{};
  BootId boot_id{};  // that it belongs to; all zero: not known
  std::vector<SavedRule> rules;
  std::vector<AlarmTransition> marks{};  // what operators have said, as far as it holds
};

/// {"version":1,"crc32c":"89abcdef",...}: JSON, with a checksum over all that follows it, because the text decides
/// where reading goes on, and one flipped digit would be believed. Doubles read back bit by bit.
std::string encode_state(const SavedState& state);
/// Error `corrupt` for anything that encode_state() does not write.
Result<SavedState> decode_state(std::string_view text);

/// `{"version":1,"crc32c":"........",`: what comes in front of the checked part.
std::string state_head(std::string_view checked_part);

}  // namespace tidegate::rules
