#pragma once

#include "core/error.h"
#include "uplink/http_options.h"

namespace tidegate::uplink {

/// Loads the libraries that an HTTP uplink with these options works with. Error `not_found` names the package that is
/// missing. Any thread.
Result<void> load_http_libraries(const HttpUplinkOptions& options);

}  // namespace tidegate::uplink
