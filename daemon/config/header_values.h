#pragma once

#include <string_view>
#include <vector>

#include "core/error.h"
#include "daemon/config/document.h"
#include "uplink/http_options.h"

namespace tidegate::daemon {

/// Whether a header, or a part of a query, of that name is a secret as a rule: it may stand nowhere in a configuration.
bool is_secret_name(std::string_view name);

/// A table of headers: { Name = "text", Authorization = { file = "..." } }. Reads files and environment for secrets.
Result<std::vector<uplink::HttpHeader>> convert_headers(const Node& node);

/// { file = "..." } and the like; one header without a name.
Result<std::vector<uplink::HttpHeader>> convert_kept_secret(const Node& node);

}  // namespace tidegate::daemon
