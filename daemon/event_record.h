#pragma once

#include <initializer_list>
#include <string>
#include <string_view>
#include <utility>

#include "core/time.h"

namespace tidegate::daemon {

/// A document of the stream `events`: {"event":"device-down","time":1760000000000,"driver":"line-1",...}.
/// Members with an empty text are left out.
std::string event_record(std::string_view event, WallTime time,
                         std::initializer_list<std::pair<std::string_view, std::string_view>> members);

}  // namespace tidegate::daemon
