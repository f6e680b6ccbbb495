#pragma once

#include <string_view>

#include "daemon/admin/admin_server.h"

namespace tidegate::daemon {

class Gateway;

/// POST /api/v1/uplinks/{name}/replay with {"from":OFFSET|TIME,"stream":"readings","skip":true}. Answers
/// {"uplink":...,"stream":...,"from":"E:S","replayed":N,"skipped":N} when it is durable, with a "note", and "gone"
/// where it is known how much, when what was asked for is not in the log any more. The gateway outlives the answer.
void answer_replay(Gateway& gateway, const AdminRequest& request, const AdminRespond& respond);
/// Whether the path is such a one.
bool is_replay_path(std::string_view path);

}  // namespace tidegate::daemon
