#pragma once

#include <string>
#include <string_view>

#include "core/error.h"
#include "daemon/admin/admin_client.h"
#include "daemon/commands/commands.h"

namespace tidegate::daemon {

/// The daemon that the location means, and what it is shown. Where --config says where it is, its certificate is the
/// one of that file; else it has to come from an authority.
Result<AdminDoor> find_daemon(const DaemonLocation& location);

/// What to say of an answer that is none of this version: the beginning of it, without control characters.
std::string not_understood(std::string_view answer);

}  // namespace tidegate::daemon
