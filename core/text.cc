#include "core/text.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cstdio>
#include <limits>
#include <numeric>
#include <utility>

namespace tidegate {
namespace {

struct Unit {
  std::string_view name;
  std::uint64_t factor;
};
constexpr std::array<Unit, 4> kSizes{{{"GiB", 1ULL << 30}, {"MiB", 1ULL << 20}, {"KiB", 1ULL << 10}, {"B", 1}}};
// Longest first where one ends in another.
constexpr std::array<Unit, 7> kDurations{{{"ms", 1'000'000},
                                          {"us", 1'000},
                                          {"ns", 1},
                                          {"s", 1'000'000'000},
                                          {"m", 60'000'000'000},
                                          {"h", 3'600'000'000'000},
                                          {"d", 86'400'000'000'000}}};

// A whole number and one of the units, without a sign or a space.
template <std::size_t N>
bool parse_quantity(std::string_view text, const std::array<Unit, N>& units, std::uint64_t& quantity) {
  std::uint64_t number = 0;
  const auto [end, problem] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (problem != std::errc()) return false;
  const std::string_view unit(end, static_cast<std::size_t>(text.data() + text.size() - end));
  for (const Unit& known : units) {
    if (known.name != unit) continue;
    constexpr auto kMax = static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max());
    if (number > kMax / known.factor) return false;
    quantity = number * known.factor;
    return true;
  }
  return false;
}

template <std::size_t N>
std::string format_quantity(std::uint64_t quantity, const std::array<Unit, N>& largest_first) {
  for (const Unit& unit : largest_first) {
    if (quantity != 0 && quantity % unit.factor == 0)
      return std::to_string(quantity / unit.factor) + std::string(unit.name);
  }
  return "0" + std::string(largest_first.back().name);
}

// The length of the UTF-8 sequence that begins here, 0 when there is none (RFC 3629: no overlong forms, no surrogates).
std::size_t utf8_sequence(std::string_view text) {
  const auto byte = [&](std::size_t i) { return i < text.size() ? static_cast<unsigned char>(text[i]) : 0U; };
  const auto continues = [&](std::size_t i, unsigned low = 0x80, unsigned high = 0xbf) {
    return byte(i) >= low && byte(i) <= high;
  };
  const unsigned first = byte(0);
  if (first < 0x80) return text.empty() ? 0 : 1;
  if (first >= 0xc2 && first <= 0xdf) return continues(1) ? 2 : 0;
  if (first >= 0xe0 && first <= 0xef) {
    const unsigned low = first == 0xe0 ? 0xa0 : 0x80;
    const unsigned high = first == 0xed ? 0x9f : 0xbf;
    return continues(1, low, high) && continues(2) ? 3 : 0;
  }
  if (first >= 0xf0 && first <= 0xf4) {
    const unsigned low = first == 0xf0 ? 0x90 : 0x80;
    const unsigned high = first == 0xf4 ? 0x8f : 0xbf;
    return continues(1, low, high) && continues(2) && continues(3) ? 4 : 0;
  }
  return 0;
}

void append_hex_byte(std::string& out, const char* prefix, unsigned byte) {
  constexpr std::string_view kDigits = "0123456789abcdef";
  out += prefix;
  out += kDigits[(byte >> 4) & 0xfU];
  out += kDigits[byte & 0xfU];
}

// How many bytes there stand in a JSON string as they are: a character or none.
std::size_t json_plain_bytes(std::string_view text, std::size_t at) {
  const auto byte = static_cast<unsigned char>(text[at]);
  if (byte < 0x80) return byte >= 0x20 && byte != '"' && byte != '\\' && byte != 0x7f ? 1 : 0;
  const std::string_view rest = text.substr(at);
  return starts_with_control(rest) ? 0 : utf8_sequence(rest);
}

// For what the text begins with. How many bytes of it that was.
std::size_t append_json_escape(std::string& out, std::string_view text) {
  const auto byte = static_cast<unsigned char>(text[0]);
  const std::size_t length = utf8_sequence(text);
  if (length == 0) {
    append_hex_byte(out, "\\\\x", byte);  // as clip() has it
    return 1;
  }
  switch (text[0]) {
    case '"':
      out += "\\\"";
      break;
    case '\\':
      out += "\\\\";
      break;
    case '\n':
      out += "\\n";
      break;
    case '\t':
      out += "\\t";
      break;
    case '\r':
      out += "\\r";
      break;
    default:
      // A control character; of two bytes the second one is its number.
      append_hex_byte(out, "\\u00", static_cast<unsigned char>(text[length - 1]));
  }
  return length;
}

template <class Number>
void append_chars(std::string& out, Number number) {
  std::array<char, 32> digits;
  const auto result = std::to_chars(digits.data(), digits.data() + digits.size(), number);
  out.append(digits.data(), static_cast<std::size_t>(result.ptr - digits.data()));
}

std::size_t edit_distance(std::string_view a, std::string_view b) {
  std::vector<std::size_t> row(b.size() + 1);
  std::iota(row.begin(), row.end(), std::size_t{0});
  for (std::size_t i = 1; i <= a.size(); ++i) {
    std::size_t diagonal = row[0];
    row[0] = i;
    for (std::size_t j = 1; j <= b.size(); ++j) {
      const std::size_t substituted = diagonal + (a[i - 1] == b[j - 1] ? 0 : 1);
      diagonal = row[j];
      row[j] = std::min({row[j] + 1, row[j - 1] + 1, substituted});
    }
  }
  return row[b.size()];
}

// U+061C, U+200E and F, U+2028 to U+202E, U+2066 to U+2069: with these a name shows as another one, or as a line of its
// own.
bool starts_with_layout(std::string_view text) {
  if (text.starts_with("\xd8\x9c")) return true;
  if (text.size() < 3 || text[0] != '\xe2') return false;
  const auto last = static_cast<unsigned char>(text[2]);
  if (text[1] == '\x80') return last == 0x8e || last == 0x8f || (last >= 0xa8 && last <= 0xae);
  return text[1] == '\x81' && last >= 0xa6 && last <= 0xa9;
}

}  // namespace

bool glob_matches(std::string_view pattern, std::string_view text) {
  std::size_t p = 0;
  std::size_t t = 0;
  std::size_t star = std::string_view::npos;  // the last '*' seen, and where the text stood then
  std::size_t star_text = 0;
  while (t < text.size()) {
    if (p < pattern.size() && pattern[p] == '*') {
      star = p++;
      star_text = t;
    } else if (p < pattern.size() && (pattern[p] == '?' || pattern[p] == text[t])) {
      ++p;
      ++t;
    } else if (star != std::string_view::npos) {
      p = star + 1;
      t = ++star_text;
    } else {
      return false;
    }
  }
  while (p < pattern.size() && pattern[p] == '*') ++p;
  return p == pattern.size();
}

Result<std::uint64_t> parse_size(std::string_view text) {
  std::uint64_t bytes = 0;
  if (parse_quantity(text, kSizes, bytes)) return bytes;
  return fail(ErrorCode::invalid,
              "\"" + clip(text) + "\" is not a size: a whole number and B, KiB, MiB or GiB, such as \"256MiB\"");
}

std::string format_size(std::uint64_t bytes) { return format_quantity(bytes, kSizes); }

Result<Duration> parse_duration(std::string_view text) {
  std::uint64_t nanoseconds = 0;
  if (parse_quantity(text, kDurations, nanoseconds)) return Duration(static_cast<std::int64_t>(nanoseconds));
  return fail(ErrorCode::invalid, "\"" + clip(text) +
                                      "\" is not a duration: a whole number and ns, us, ms, s, m, h or d, such as "
                                      "\"250ms\"");
}

std::string format_duration(Duration duration) {
  constexpr std::array<Unit, 7> kLargestFirst{{{"d", 86'400'000'000'000},
                                               {"h", 3'600'000'000'000},
                                               {"m", 60'000'000'000},
                                               {"s", 1'000'000'000},
                                               {"ms", 1'000'000},
                                               {"us", 1'000},
                                               {"ns", 1}}};
  if (duration == Duration::zero()) return "0s";
  if (duration < Duration::zero()) return "-" + format_duration(-duration);
  return format_quantity(static_cast<std::uint64_t>(duration.count()), kLargestFirst);
}

std::string nearest_word(std::string_view word, std::span<const std::string_view> candidates) {
  std::string_view nearest;
  std::size_t nearest_distance = std::max<std::size_t>(2, word.size() / 3) + 1;
  for (const auto candidate : candidates) {
    const std::size_t distance = edit_distance(word.substr(0, 64), candidate);
    if (distance < nearest_distance) {
      nearest = candidate;
      nearest_distance = distance;
    }
  }
  return std::string(nearest);
}

bool is_valid_utf8(std::string_view text) {
  while (!text.empty()) {
    const std::size_t length = utf8_sequence(text);
    if (length == 0) return false;
    text.remove_prefix(length);
  }
  return true;
}

bool starts_with_control(std::string_view text) {
  if (text.empty()) return false;
  const auto byte = static_cast<unsigned char>(text[0]);
  if (byte < 0x20 || byte == 0x7f) return true;
  return byte == 0xc2 && text.size() > 1 && static_cast<unsigned char>(text[1]) < 0xa0;
}

bool has_control(std::string_view text) {
  for (; !text.empty(); text.remove_prefix(1)) {
    if (starts_with_control(text)) return true;
  }
  return false;
}

std::string clip(std::string_view text, std::size_t bytes_max) {
  constexpr std::size_t kShownAsHex = 4;
  std::string out;
  for (std::string_view rest = text; !rest.empty();) {
    const std::size_t length = utf8_sequence(rest);
    const std::size_t bytes = std::max<std::size_t>(length, 1);
    const bool is_shown = length != 0 && !starts_with_control(rest) && !starts_with_layout(rest);
    if (out.size() + (is_shown ? bytes : bytes * kShownAsHex) > bytes_max) return out + "...";
    if (is_shown) {
      out += rest.substr(0, bytes);
    } else {
      for (const char c : rest.substr(0, bytes)) append_hex_byte(out, "\\x", static_cast<unsigned char>(c));
    }
    rest.remove_prefix(bytes);
  }
  return out;
}

// What came from elsewhere is no UTF-8 at times, and a document with that is none to whoever reads it.
void append_json_string(std::string& out, std::string_view text) {
  out += '"';
  std::size_t plain = 0;  // begin of the run that needs no escape
  for (std::size_t i = 0; i < text.size();) {
    const std::size_t length = json_plain_bytes(text, i);
    if (length != 0) {
      i += length;
      continue;
    }
    out += text.substr(plain, i - plain);
    i += append_json_escape(out, text.substr(i));
    plain = i;
  }
  out += text.substr(plain);
  out += '"';
}

void append_number(std::string& out, std::uint64_t number) { append_chars(out, number); }
void append_number(std::string& out, std::int64_t number) { append_chars(out, number); }

void append_number(std::string& out, double number) {
  const std::size_t begin = out.size();
  append_chars(out, number);
  // "2" would read back as an integer.
  if (out.find_first_of(".en", begin) == std::string::npos) out += ".0";
}

std::vector<std::string_view> split(std::string_view text, char separator) {
  std::vector<std::string_view> parts;
  for (std::size_t end = text.find(separator); end != std::string_view::npos; end = text.find(separator)) {
    parts.push_back(text.substr(0, end));
    text.remove_prefix(end + 1);
  }
  parts.push_back(text);
  return parts;
}

}  // namespace tidegate
