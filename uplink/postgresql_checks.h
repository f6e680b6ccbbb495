#pragma once

#include "core/error.h"

namespace tidegate::uplink {

/// Loads libpq, which PostgreSQL uplinks need; for a check before any is made. Error `not_found` names the package.
Result<void> load_postgresql_library();

}  // namespace tidegate::uplink
