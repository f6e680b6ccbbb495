#pragma once

#include <string_view>

#include "daemon/admin/admin_server.h"

namespace tidegate::daemon {

class Gateway;

/// POST /api/v1/alarms/{id}/ack, /shelve and /unshelve, of an alarm "RULE/TAG", with {"by":"ann","note":"..."}, both
/// optional, and for shelve {"for":"1h"}. Answers {"alarm":...,"state":...} once it is in the log.
void answer_alarm_action(Gateway& gateway, const AdminRequest& request, const AdminRespond& respond);
/// Whether the path is such a one.
bool is_alarm_action_path(std::string_view path);

}  // namespace tidegate::daemon
