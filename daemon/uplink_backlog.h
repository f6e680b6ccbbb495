#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "daemon/reload_plan.h"
#include "daemon/uplink_runner.h"

namespace tidegate::daemon {

/// What uplinks that a plan ends for good have not delivered, and what becomes of that, by their names. Without those
/// that have delivered all. Core thread.
std::map<std::string, std::string> left_behind(const std::vector<std::unique_ptr<UplinkRunner>>& uplinks,
                                               const ReloadPlan& plan);

}  // namespace tidegate::daemon
