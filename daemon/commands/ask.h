#pragma once

#include "core/error.h"
#include "daemon/admin/admin_client.h"
#include "daemon/commands/commands.h"

namespace tidegate::daemon {

/// The daemon that the location means, and what it is shown. Where --config says where it is, its certificate is the
/// one of that file; else it has to come from an authority.
Result<AdminDoor> find_daemon(const DaemonLocation& location);

}  // namespace tidegate::daemon
