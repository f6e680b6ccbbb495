#pragma once

#include <string>

#include "core/time.h"
#include "daemon/admin/admin_server.h"
#include "daemon/event_loop.h"

namespace tidegate::daemon {

/// Answers once, with the first that it is given; where nothing comes within the time, with 504 and `late`, and what
/// comes after that is not for this request any more. Core thread.
AdminRespond answer_in_time(EventLoop& loop, Duration most, AdminRespond respond, std::string late);

}  // namespace tidegate::daemon
