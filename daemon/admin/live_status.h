#pragma once

#include <string>

namespace tidegate::daemon {

class Gateway;

/// What changes most of the status, as one JSON object: the event `status` of /api/v1/live. Core thread.
std::string render_live_status(const Gateway& gateway);

}  // namespace tidegate::daemon
