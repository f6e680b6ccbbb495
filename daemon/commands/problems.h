#pragma once

#include <vector>

#include "daemon/config/config.h"

namespace tidegate::daemon {

/// Each on a line of standard error.
void print_problems(const std::vector<Problem>& problems);

}  // namespace tidegate::daemon
