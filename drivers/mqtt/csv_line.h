#pragma once

#include <cstddef>
#include <string>
#include <string_view>

#include "drivers/mqtt/refusal.h"

namespace tidegate::drivers {

/// As JSON a line of empty fields takes six times its bytes, and parsed very much more.
constexpr std::size_t kCsvLineBytesMax = std::size_t{64} * 1024;

/// A line of comma-separated values (RFC 4180) as a JSON array, into which the pointers of a rule then point: column 0
/// is "/0". A field without quotes is a number if it is written as one (a "+" in front is passed over), null if it is
/// empty or says nan or inf, and text otherwise; one in quotes is text, in which "" is a quote. Spaces around a field
/// and the line's own end do not count. Numbers are kept as those of JSON are.
///
/// not_csv: more than one line or kCsvLineBytesMax, or a quote where none can be; not_utf8; bad_number: beyond a
/// double.
Refusal csv_as_json(std::string_view line, std::string& json);

}  // namespace tidegate::drivers
