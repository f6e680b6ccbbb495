#pragma once

#include <cstdint>
#include <initializer_list>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "core/time.h"

namespace tidegate::daemon {

using EventMember = std::pair<std::string_view, std::variant<std::string_view, std::uint64_t>>;

/// A document of the stream `events`: {"event":"device-down","time":1760000000000,"driver":"line-1",...}.
/// Members with an empty text are left out; a number stays a number, as in gap records.
std::string event_record(std::string_view event, WallTime time, std::initializer_list<EventMember> members);

/// The same for the log: "line-1/boiler device-down: timeout".
std::string event_line(std::string_view subject, std::string_view event, std::string_view detail);

/// Appends "; ..." for each finding, in a length that always goes into an event: the first ones, then how many more.
void append_findings(std::string& detail, const std::vector<std::string>& findings);

}  // namespace tidegate::daemon
