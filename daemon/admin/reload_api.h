#pragma once

#include <string_view>

#include "daemon/admin/admin_server.h"

namespace tidegate::daemon {

class Gateway;

/// GET /api/v1/reload: what a reload would do. POST: does it, and answers when it is done, or after a minute that it
/// is not (504). The gateway outlives the answer.
void answer_reload(Gateway& gateway, const AdminRequest& request, const AdminRespond& respond);
/// Whether the path is that one.
bool is_reload_path(std::string_view path);

}  // namespace tidegate::daemon
