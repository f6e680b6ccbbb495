#include "drivers/modbus/value_encoder.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>
#include <optional>
#include <string>

#include "core/text.h"

namespace tidegate::drivers {
namespace {

constexpr double kOffStepMost = 0.01;            // of a step
constexpr double kExactMost = 9007199254740992;  // 2^53: whole numbers up to it have a double of their own
constexpr double kBeyondWhole = 18446744073709551616.0;
constexpr std::size_t kShownBytesMost = 60;

using Words = std::vector<std::uint16_t>;

std::string shown(const Value& value) {
  std::string text;
  append_json(text, value);
  return clip(text, kShownBytesMost);
}

std::string shown(double number) {
  if (!std::isfinite(number)) return std::isnan(number) ? "not a number" : "an infinite number";
  std::string text;
  append_number(text, number);
  return text;
}

tl::unexpected<Error> refuse(const std::string& found, const std::string& allowed) {
  return fail(ErrorCode::invalid, "found " + found + "; " + allowed + " is allowed");
}

bool is_real(ModbusType type) { return type == ModbusType::float32 || type == ModbusType::float64; }

// Of a type that holds whole numbers.
struct WholeRange {
  std::int64_t least = 0;
  std::uint64_t most = 0;
};

WholeRange whole_range(ModbusType type) {
  switch (type) {
    case ModbusType::int16:
      return {std::numeric_limits<std::int16_t>::min(), std::numeric_limits<std::int16_t>::max()};
    case ModbusType::int32:
      return {std::numeric_limits<std::int32_t>::min(), std::numeric_limits<std::int32_t>::max()};
    case ModbusType::int64:
      return {std::numeric_limits<std::int64_t>::min(), std::numeric_limits<std::int64_t>::max()};
    case ModbusType::uint32:
      return {0, std::numeric_limits<std::uint32_t>::max()};
    case ModbusType::uint64:
      return {0, std::numeric_limits<std::uint64_t>::max()};
    case ModbusType::bcd16:
      return {0, 9'999};
    case ModbusType::bcd32:
      return {0, 99'999'999};
    default:
      return {0, std::numeric_limits<std::uint16_t>::max()};
  }
}

// A whole number, of which the bits are those of an int64 when it is negative.
struct Whole {
  std::uint64_t bits = 0;
  bool is_negative = false;
};

std::optional<Whole> whole_of(double number) {
  constexpr double kLeastSigned = -9223372036854775808.0;
  if (!(number >= kLeastSigned && number < kBeyondWhole) || number != std::trunc(number)) return std::nullopt;
  if (number < 0) return Whole{static_cast<std::uint64_t>(static_cast<std::int64_t>(number)), true};
  return Whole{static_cast<std::uint64_t>(number), false};
}

std::optional<Whole> whole_of(const Value& value) {
  if (const auto* natural = std::get_if<std::uint64_t>(&value)) return Whole{*natural, false};
  if (const auto* integer = std::get_if<std::int64_t>(&value)) {
    return Whole{static_cast<std::uint64_t>(*integer), *integer < 0};
  }
  if (const auto* real = std::get_if<double>(&value)) return whole_of(*real);
  return std::nullopt;
}

bool fits(const Whole& whole, const WholeRange& range) {
  if (whole.is_negative) return static_cast<std::int64_t>(whole.bits) >= range.least;
  return whole.bits <= range.most;
}

std::uint64_t encode_bcd(std::uint64_t number) {
  std::uint64_t bits = 0;
  for (unsigned shift = 0; number > 0; shift += 4, number /= 10) bits |= (number % 10) << shift;
  return bits;
}

std::uint16_t in_order(const ValueFormat& format, std::uint16_t word) {
  const bool swaps = format.order == ByteOrder::badc || format.order == ByteOrder::dcba;
  return swaps ? static_cast<std::uint16_t>((word << 8) | (word >> 8)) : word;
}

Words split_words(const ValueFormat& format, std::uint64_t bits) {
  Words words(format.count);
  for (std::size_t i = 0; i < words.size(); ++i) {
    words[words.size() - 1 - i] = in_order(format, static_cast<std::uint16_t>(bits >> (16 * i)));
  }
  const bool swaps_words = format.order == ByteOrder::cdab || format.order == ByteOrder::dcba;
  if (swaps_words) std::reverse(words.begin(), words.end());
  return words;
}

Result<Words> encode_flag(const ValueFormat& format, const Value& value) {
  const auto* flag = std::get_if<bool>(&value);
  const auto whole = whole_of(value);
  if (flag == nullptr && (!whole || whole->bits > 1)) return refuse(shown(value), "true or false, or 1 or 0");
  const bool on = flag != nullptr ? *flag : whole->bits == 1;
  return split_words(format, on ? 1 : 0);
}

Result<Words> encode_text(const ValueFormat& format, const Value& value) {
  const auto* text = std::get_if<std::string>(&value);
  const std::string allowed = "a text of at most " + std::to_string(format.string_bytes) + " bytes of UTF-8";
  if (text == nullptr) return refuse(shown(value), allowed);
  if (text->size() > format.string_bytes) return refuse("one of " + std::to_string(text->size()) + " bytes", allowed);
  if (text->find('\0') != std::string::npos || !is_valid_utf8(*text)) {
    return refuse("one with a zero byte or with bytes that are no UTF-8", allowed);
  }
  Words words(format.count);
  for (std::size_t i = 0; i < text->size(); ++i) {
    const auto byte = static_cast<std::uint8_t>((*text)[i]);
    words[i / 2] = static_cast<std::uint16_t>(words[i / 2] | (i % 2 == 0 ? byte << 8 : byte));
  }
  for (std::uint16_t& word : words) word = in_order(format, word);
  return words;
}

std::uint64_t bits_of_real(ModbusType type, double raw) {
  if (type == ModbusType::float64) return std::bit_cast<std::uint64_t>(raw);
  return std::bit_cast<std::uint32_t>(static_cast<float>(raw));
}

// Whether scaling, which is done in double precision, can start from just this value.
bool is_exact(const Value& value, double number) {
  const auto wanted = whole_of(value);
  const auto taken = whole_of(number);
  return !wanted || (taken && taken->bits == wanted->bits && taken->is_negative == wanted->is_negative);
}

Result<std::uint64_t> bits_of_number(const ValueFormat& format, const Value& value, double number) {
  const ValueRange range = range_of(format);
  const std::string allowed = shown(range.least) + " to " + shown(range.most);
  const double raw = format.scaled ? format.scale.invert(number) : number;
  if (is_real(format.type)) {
    const double limit = format.type == ModbusType::float32 ? double{std::numeric_limits<float>::max()}
                                                            : std::numeric_limits<double>::max();
    if (!(std::abs(raw) <= limit)) return refuse(shown(value), allowed);
    return bits_of_real(format.type, raw);
  }
  if (format.scaled && (!is_exact(value, number) || (std::abs(raw) > kExactMost && std::abs(raw) < kBeyondWhole))) {
    return refuse(shown(value), "with scale and offset what is exact in double precision, of a raw value up to " +
                                    std::to_string(static_cast<std::int64_t>(kExactMost)) + ',');
  }
  const double step = std::round(raw);
  const auto whole = format.scaled ? whole_of(step) : whole_of(value);
  if (format.scaled && std::abs(raw - step) > kOffStepMost) {
    return refuse(shown(value), "what the register can hold, as " + shown(format.scale.apply(std::floor(raw))) +
                                    " or " + shown(format.scale.apply(std::ceil(raw))) + ',');
  }
  if (!whole && number != std::trunc(number)) return refuse(shown(value), "a whole number");
  if (!whole || !fits(*whole, whole_range(format.type))) return refuse(shown(value), allowed);
  const bool is_bcd = format.type == ModbusType::bcd16 || format.type == ModbusType::bcd32;
  return is_bcd ? encode_bcd(whole->bits) : whole->bits;
}

// Of what the register will read back: a number of single precision may miss a limit that the register meets, and the
// nearest number that the register can hold may lie beyond a limit that the value meets.
Result<void> check_limits(const ValueFormat& format, const Value& value, const Words& words) {
  if (decode_value(format, words).quality == Quality::good) return {};
  std::string allowed = "what min and max say,";
  if (std::isfinite(format.min)) allowed += " from " + shown(format.min);
  if (std::isfinite(format.max)) allowed += " to " + shown(format.max);
  return refuse(shown(value), allowed);
}

}  // namespace

ValueRange range_of(const ValueFormat& format) {
  ValueRange range;
  if (format.type == ModbusType::float32) {
    range = {double{std::numeric_limits<float>::lowest()}, double{std::numeric_limits<float>::max()}};
  } else if (format.type == ModbusType::float64) {
    range = {std::numeric_limits<double>::lowest(), std::numeric_limits<double>::max()};
  } else {
    const WholeRange whole = whole_range(format.type);
    range = {static_cast<double>(whole.least), static_cast<double>(whole.most)};
  }
  if (!format.scaled) return range;
  const double first = format.scale.apply(range.least);
  const double second = format.scale.apply(range.most);
  constexpr double kMost = std::numeric_limits<double>::max();
  return {std::clamp(std::min(first, second), -kMost, kMost), std::clamp(std::max(first, second), -kMost, kMost)};
}

Result<std::vector<std::uint16_t>> encode_value(const ValueFormat& format, const Value& value) {
  if (format.bit >= 0) return fail(ErrorCode::invalid, "one bit of a register cannot be written");
  if (format.type == ModbusType::string) return encode_text(format, value);
  if (format.type == ModbusType::boolean) return encode_flag(format, value);
  double number = 0;
  const bool is_number = !std::holds_alternative<bool>(value) && as_number(value, number);
  if (!is_number) return refuse(shown(value), "a number");
  if (!std::isfinite(number)) return refuse(shown(number), "a number that is finite");
  const auto bits = bits_of_number(format, value, number);
  if (!bits) return tl::unexpected(bits.error());
  Words words = split_words(format, *bits);
  if (auto within = check_limits(format, value, words); !within) return tl::unexpected(within.error());
  return words;
}

}  // namespace tidegate::drivers
