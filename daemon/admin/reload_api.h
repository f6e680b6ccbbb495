#pragma once

#include <string_view>

#include "daemon/admin/admin_server.h"

namespace tidegate::daemon {

class Gateway;

/// Whether it is that of the next one.
bool is_reload_path(std::string_view path);

/// GET /api/v1/reload: what a reload would do. POST: does it, and answers when it is done.
void answer_reload(Gateway& gateway, const AdminRequest& request, const AdminRespond& respond);

}  // namespace tidegate::daemon
