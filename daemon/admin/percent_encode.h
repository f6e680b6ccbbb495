#pragma once

#include <string>
#include <string_view>

namespace tidegate::daemon {

/// For one part of a path or of a query (RFC 3986).
std::string percent_encode(std::string_view text);
std::string percent_decode(std::string_view text);
/// The same of a form or a query as browsers write them, where a + is a space.
std::string form_decode(std::string_view text);

}  // namespace tidegate::daemon
