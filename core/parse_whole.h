#pragma once

#include <charconv>
#include <concepts>
#include <optional>
#include <string_view>
#include <system_error>

namespace tidegate {

/// The whole text as one whole number that fits the type: digits, behind a '-' for signed types, and nothing else, so
/// no white space, no '+' and no "0x". Nothing for anything else, the empty text too.
template <std::integral Number>
std::optional<Number> parse_whole(std::string_view text, int base = 10) {
  Number number = 0;
  const char* const end = text.data() + text.size();
  const auto [stop, problem] = std::from_chars(text.data(), end, number, base);
  if (problem != std::errc() || stop != end) return std::nullopt;
  return number;
}

}  // namespace tidegate
