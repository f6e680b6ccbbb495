#pragma once

#include <string>

#include "core/error.h"

namespace tidegate::daemon {

/// The answer of /api/v1/status for a person's eyes.
Result<std::string> status_as_text(const std::string& status_json);

}  // namespace tidegate::daemon
