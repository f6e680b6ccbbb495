#pragma once

#include <string_view>

#include "daemon/admin/admin_server.h"

namespace tidegate::daemon {

class Gateway;

/// GET /api/v1/deadletters?uplink=&after=&limit= lists. POST /api/v1/deadletters/drop with
/// {"uplink":"lake","ids":[3,4]} or {"uplink":"lake","all":true} removes, /retry with one id sends again, /put with
/// {"uplink":"lake","stream":"readings","at":"2:120"} makes the record that the target refuses now one. The gateway
/// outlives the answer.
void answer_dead_letters(Gateway& gateway, const AdminRequest& request, const AdminRespond& respond);
/// Whether the path is one of these.
bool is_dead_letters_path(std::string_view path);

}  // namespace tidegate::daemon
