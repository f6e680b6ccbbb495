#pragma once

#include <string>

#include "core/error.h"
#include "daemon/config/config.h"

namespace tidegate::daemon {

/// "127.0.0.1:8480", "[::1]:8480", "localhost:8480", "unix:/run/tidegate/admin.sock", or "" for none. An error reads on
/// behind the name of the setting: "must be ...".
Result<AdminAddress> parse_admin_address(const std::string& text);
/// Whether others than this machine may reach it.
bool is_reached_by_others(const AdminAddress& address);
std::string format_admin_address(const AdminAddress& address);

}  // namespace tidegate::daemon
