#pragma once

#include "core/error.h"
#include "daemon/admin_address.h"
#include "daemon/commands/commands.h"

namespace tidegate::daemon {

/// The admin address that the location means.
Result<AdminAddress> find_daemon(const DaemonLocation& location);

}  // namespace tidegate::daemon
