#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace tidegate::daemon {

/// What would be right on a line (1 is the first) that is no TOML, where that is one of the usual slips: no quotes, one
/// quote, two equals signs. Else empty. Names the key and never the value, which may be a secret.
std::string toml_hint(std::string_view text, std::uint32_t line);

}  // namespace tidegate::daemon
