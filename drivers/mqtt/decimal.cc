#include "drivers/mqtt/decimal.h"

#include <charconv>
#include <cmath>
#include <cstdint>

#include "core/parse_whole.h"

namespace tidegate::drivers {

std::string_view trimmed(std::string_view text) {
  constexpr std::string_view kSpace = " \t\r\n";
  const auto begin = text.find_first_not_of(kSpace);
  if (begin == std::string_view::npos) return {};
  return text.substr(begin, text.find_last_not_of(kSpace) - begin + 1);
}

Refusal parse_number(std::string_view text, Value& value) {
  if (const auto number = parse_whole<std::int64_t>(text)) {
    value = *number;
    return Refusal::none;
  }
  if (const auto number = parse_whole<std::uint64_t>(text)) {
    value = *number;
    return Refusal::none;
  }
  if (text.find_first_of("nN") != std::string_view::npos) return Refusal::not_a_number;  // from_chars takes nan and inf
  double number = 0;
  const auto [end, problem] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (problem == std::errc::result_out_of_range) return Refusal::bad_number;
  if (problem != std::errc() || end != text.data() + text.size() || !std::isfinite(number)) {
    return Refusal::not_a_number;
  }
  value = number;
  return Refusal::none;
}

}  // namespace tidegate::drivers
