#pragma once

#include <string_view>

#include "core/value.h"
#include "drivers/mqtt/refusal.h"

namespace tidegate::drivers {

/// Without the spaces around it, line ends among them.
std::string_view trimmed(std::string_view text);

/// A number in digits: an integer where it fits 64 bits, a double otherwise. not_a_number: it is none,
/// and "nan" and "inf" are none; bad_number: beyond a double.
Refusal parse_number(std::string_view text, Value& value);

}  // namespace tidegate::drivers
