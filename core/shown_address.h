#pragma once

#include <string>
#include <string_view>

namespace tidegate {

/// What of a URL, or of an address as "HOST:PORT", a message may show that finds it wrong: scheme, host and port. A
/// login, what stands in the place of the port and is no number ("hub:hunter2", where somebody left out the host), and
/// path and query are "...". Clipped; without quotes.
std::string shown_address(std::string_view text);

}  // namespace tidegate
