#pragma once

#include <string_view>

#include "daemon/admin/admin_server.h"

namespace tidegate::daemon {

class Gateway;

bool is_dead_letters_path(std::string_view path);

/// GET /api/v1/deadletters?uplink=&after=&limit= lists, POST /api/v1/deadletters/drop with
/// {"uplink":"lake","ids":[3,4]} or {"uplink":"lake","all":true} removes.
void answer_dead_letters(Gateway& gateway, const AdminRequest& request, const AdminRespond& respond);

}  // namespace tidegate::daemon
