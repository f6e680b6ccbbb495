#pragma once

#include <string>

#include "buffer/inspect.h"
#include "core/error.h"

namespace tidegate::daemon {

/// Records of a stream between two places as commands take them (daemon/offset.h); empty: from the oldest, to the end.
Result<buffer::ReadRange> parse_read_range(Stream stream, const std::string& from, const std::string& to);

}  // namespace tidegate::daemon
