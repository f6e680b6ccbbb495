#pragma once

#include <optional>

#include "daemon/admin/admin_server.h"

namespace tidegate::daemon {

/// 415 to a request that changes something and says that its body is something else than JSON, or does not say what:
/// a page of another site can send all but JSON without asking first.
std::optional<AdminResponse> refuse_unless_json(const AdminRequest& request);

}  // namespace tidegate::daemon
