#pragma once

#include <optional>
#include <string>

#include "core/record.h"

namespace tidegate::daemon {

/// The rules' state with the places in the log that it belongs to, as the state database keeps it.
struct RulesState {
  std::string engine;  // RuleEngine::save()
  Position readings;   // behind the last reading judged
  Position alarms;     // the end of the stream `alarms` at that moment: a restart knows which alarms came later
};
std::string pack_rules(const RulesState& state);
/// Nothing for what pack_rules() does not write.
std::optional<RulesState> unpack_rules(const std::string& packed);

}  // namespace tidegate::daemon
