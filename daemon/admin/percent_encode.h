#pragma once

#include <string>
#include <string_view>

namespace tidegate::daemon {

/// For one part of a path or of a query (RFC 3986).
std::string percent_encode(std::string_view text);
std::string percent_decode(std::string_view text);

}  // namespace tidegate::daemon
