#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/error.h"
#include "core/time.h"

namespace tidegate {

/// `*` matches any run of characters, '/' too; `?` matches one byte; the rest matches itself.
bool glob_matches(std::string_view pattern, std::string_view text);

/// "256MiB", "64KiB", "1GiB", "512B" to bytes. Error `invalid` says what is allowed.
Result<std::uint64_t> parse_size(std::string_view text);
std::string format_size(std::uint64_t bytes);

/// "250ms", "10s", "5m", "2h", "30d", also "us" and "ns". Error `invalid` says what is allowed.
Result<Duration> parse_duration(std::string_view text);
std::string format_duration(Duration duration);

/// The candidate nearest to `word` by edit distance, or "" when none is near enough to be meant.
std::string nearest_word(std::string_view word, std::span<const std::string_view> candidates);

bool is_valid_utf8(std::string_view text);

/// Whether the text begins with a control character: C0, DEL, or C1 (U+0080 to U+009F), which terminals obey too.
bool starts_with_control(std::string_view text);
bool has_control(std::string_view text);

/// The first `bytes_max` bytes, cut at a character, with "..." when cut; bytes that do not print, or that have the text
/// around them shown in another order, as \xNN. For log lines.
std::string clip(std::string_view text, std::size_t bytes_max = 80);

/// Appends `text` as a JSON string, quotes included, always in UTF-8: other bytes as clip() has them, controls escaped.
void append_json_string(std::string& out, std::string_view text);
/// Appends the decimal digits.
void append_number(std::string& out, std::uint64_t number);
void append_number(std::string& out, std::int64_t number);
/// Appends the shortest decimal form that reads back the same double, always recognisable as a non-integer
/// ("2.0", "1e300"). The double must be finite.
void append_number(std::string& out, double number);

std::vector<std::string_view> split(std::string_view text, char separator);

}  // namespace tidegate
