#pragma once

#include "core/error.h"
#include "daemon/commands/commands.h"
#include "daemon/config/admin_address.h"

namespace tidegate::daemon {

/// The admin address that the location means.
Result<AdminAddress> find_daemon(const DaemonLocation& location);

}  // namespace tidegate::daemon
