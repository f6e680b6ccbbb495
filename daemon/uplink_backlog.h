#pragma once

#include <string>

#include "daemon/reload_plan.h"
#include "daemon/uplink_runner.h"

namespace tidegate::daemon {

/// What an uplink that a plan stops has not delivered, and what becomes of that; empty where there is nothing.
std::string left_by(const UplinkRunner& uplink, const ReloadPlan& plan);

}  // namespace tidegate::daemon
