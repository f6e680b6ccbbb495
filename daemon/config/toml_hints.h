#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace tidegate::daemon {

/// Where a text of TOML that begins at `at`, with a quote, is over: behind its last quote, or at the end of its line
/// where it may have one only and is not closed.
std::size_t end_of_toml_text(std::string_view document, std::size_t at);

/// What would be right at a place (1:1 is the first) where a document is no TOML, where that is one of the usual slips:
/// no quotes, one quote, a backslash (`is_escape`: the parser says so), two equals signs. Else empty. Says nothing of
/// what stands there, which may be a secret.
std::string_view toml_hint(std::string_view document, std::uint32_t line, std::uint32_t column, bool is_escape);

}  // namespace tidegate::daemon
