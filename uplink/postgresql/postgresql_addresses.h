#pragma once

#include <functional>
#include <string>
#include <vector>

#include "core/error.h"
#include "core/time.h"

namespace tidegate::uplink {

/// The addresses of a host in digits, in the order in which to try them; of the directory of a Unix socket one that is
/// empty. Blocks until `deadline`, or until `gives_up` says so: libpq by itself would wait as long as the name servers.
Result<std::vector<std::string>> look_up_addresses(const std::string& host, BootTime deadline,
                                                   const std::function<bool()>& gives_up);

}  // namespace tidegate::uplink
