#pragma once

#include <memory>
#include <vector>

#include "core/time.h"
#include "daemon/uplink_runner.h"

namespace tidegate::daemon {

/// Ends all of them at the same time: each may take its grace and some more to say good-bye, and the service manager
/// has no patience for the sum of that. Core thread, which waits for it.
void stop_uplinks(const std::vector<std::unique_ptr<UplinkRunner>>& uplinks, Duration grace);

}  // namespace tidegate::daemon
