#pragma once

#include <string>

#include "daemon/config/schema.h"
#include "daemon/config/scope.h"

namespace tidegate::daemon {

/// Reads the table `node` by the rows of `section` into `self`; whatever is wrong goes into `state`.
/// `path` is the dotted path of the table, empty for the file.
void fill(const Section& section, void* self, const Node& node, const std::string& path, LoadState& state);

}  // namespace tidegate::daemon
