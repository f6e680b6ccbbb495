#include "drivers/modbus/register_decoder.h"

#include <bit>
#include <cassert>
#include <cmath>
#include <optional>
#include <string>

#include "core/text.h"

namespace tidegate::drivers {
namespace {

std::uint16_t swap_bytes(std::uint16_t word) { return static_cast<std::uint16_t>((word << 8) | (word >> 8)); }

bool swaps_bytes(ByteOrder order) { return order == ByteOrder::badc || order == ByteOrder::dcba; }
bool swaps_words(ByteOrder order) { return order == ByteOrder::cdab || order == ByteOrder::dcba; }

// The words as one number, most significant first as the order says.
std::uint64_t join_words(const ValueFormat& format, std::span<const std::uint16_t> words) {
  std::uint64_t joined = 0;
  for (std::size_t i = 0; i < words.size(); ++i) {
    const std::uint16_t word = swaps_words(format.order) ? words[words.size() - 1 - i] : words[i];
    joined = (joined << 16) | (swaps_bytes(format.order) ? swap_bytes(word) : word);
  }
  return joined;
}

std::optional<std::uint64_t> decode_bcd(std::uint64_t bits) {
  std::uint64_t number = 0;
  for (int shift = 28; shift >= 0; shift -= 4) {
    const std::uint64_t digit = (bits >> shift) & 0xfU;
    if (digit > 9) return std::nullopt;
    number = number * 10 + digit;
  }
  return number;
}

// Null when the bits are no value of the type.
Value decode_number(ModbusType type, std::uint64_t bits) {
  switch (type) {
    case ModbusType::boolean:
      return bits != 0;
    case ModbusType::int16:
      return std::int64_t{static_cast<std::int16_t>(static_cast<std::uint16_t>(bits))};
    case ModbusType::int32:
      return std::int64_t{static_cast<std::int32_t>(static_cast<std::uint32_t>(bits))};
    case ModbusType::int64:
      return static_cast<std::int64_t>(bits);
    case ModbusType::uint16:
    case ModbusType::uint32:
    case ModbusType::uint64:
      return bits;
    case ModbusType::float32:
      return double{std::bit_cast<float>(static_cast<std::uint32_t>(bits))};
    case ModbusType::float64:
      return std::bit_cast<double>(bits);
    case ModbusType::bcd16:
    case ModbusType::bcd32: {
      const auto number = decode_bcd(bits);
      return number ? Value(*number) : Value();
    }
    case ModbusType::string:
      break;
  }
  return {};
}

DecodedValue bad_value(Reason reason) { return {Value(), Quality::bad, reason}; }

DecodedValue decode_text(const ValueFormat& format, std::span<const std::uint16_t> words) {
  std::string text;
  text.reserve(format.string_bytes);
  for (std::size_t i = 0; i < format.string_bytes; ++i) {
    const std::uint16_t word = swaps_bytes(format.order) ? swap_bytes(words[i / 2]) : words[i / 2];
    const auto byte = static_cast<std::uint8_t>(i % 2 == 0 ? word >> 8 : word & 0xff);
    if (byte == 0) break;
    text.push_back(static_cast<char>(byte));
  }
  if (!is_valid_utf8(text)) return bad_value(Reason::wrong_type);
  return {Value(std::move(text))};
}

// Beyond its range it is infinite.
float to_single(double number) {
  constexpr double kMost = std::numeric_limits<float>::max();
  if (number > kMost) return std::numeric_limits<float>::infinity();
  return number < -kMost ? -std::numeric_limits<float>::infinity() : static_cast<float>(number);
}

// Of single precision is compared in it: a register that holds the number nearest to a limit meets the limit.
bool is_within(const ValueFormat& format, double number) {
  if (format.type != ModbusType::float32) return number >= format.min && number <= format.max;
  const float single = to_single(number);
  return single >= to_single(format.min) && single <= to_single(format.max);
}

}  // namespace

std::uint16_t register_count(const ModbusTagOptions& options) {
  switch (options.type) {
    case ModbusType::boolean:
    case ModbusType::int16:
    case ModbusType::uint16:
    case ModbusType::bcd16:
      return 1;
    case ModbusType::int32:
    case ModbusType::uint32:
    case ModbusType::float32:
    case ModbusType::bcd32:
      return 2;
    case ModbusType::int64:
    case ModbusType::uint64:
    case ModbusType::float64:
      return 4;
    case ModbusType::string:
      return static_cast<std::uint16_t>((options.string_bytes + 1) / 2);
  }
  return 1;
}

ValueFormat make_value_format(const ModbusTagOptions& options) {
  ValueFormat format;
  format.from_bits = is_bit_table(options.address.table);
  format.type = format.from_bits ? ModbusType::boolean : options.type;
  format.order = options.order;
  format.scaled = options.scale.has_value() || options.offset.has_value();
  format.bit = options.bit ? static_cast<std::int8_t>(*options.bit) : std::int8_t{-1};
  format.count = format.from_bits ? std::uint16_t{1} : register_count(options);
  format.string_bytes = options.string_bytes;
  format.scale = DecimalScale(options.scale.value_or(1.0), options.offset.value_or(0.0));
  if (options.min) format.min = *options.min;
  if (options.max) format.max = *options.max;
  return format;
}

ValueType value_type(const ValueFormat& format) {
  if (format.bit >= 0) return ValueType::boolean;
  if (format.scaled) return ValueType::float64;
  switch (format.type) {
    case ModbusType::boolean:
      return ValueType::boolean;
    case ModbusType::int16:
    case ModbusType::int32:
    case ModbusType::int64:
      return ValueType::int64;
    case ModbusType::uint16:
    case ModbusType::uint32:
    case ModbusType::uint64:
    case ModbusType::bcd16:
    case ModbusType::bcd32:
      return ValueType::uint64;
    case ModbusType::float32:
    case ModbusType::float64:
      return ValueType::float64;
    case ModbusType::string:
      return ValueType::text;
  }
  return ValueType::automatic;
}

DecodedValue decode_value(const ValueFormat& format, std::span<const std::uint16_t> words) {
  assert(words.size() == format.count);
  if (format.type == ModbusType::string) return decode_text(format, words);
  const std::uint64_t bits = join_words(format, words);
  if (format.bit >= 0) return {Value(((bits >> format.bit) & 1U) != 0)};
  DecodedValue decoded{decode_number(format.type, bits)};
  if (std::holds_alternative<std::monostate>(decoded.value)) return bad_value(Reason::wrong_type);
  if (format.type == ModbusType::boolean) return decoded;
  double number = 0;
  as_number(decoded.value, number);
  if (format.scaled) {
    number = format.scale.apply(number);
    decoded.value = number;
  }
  if (!std::isfinite(number)) return bad_value(Reason::nan);
  if (!is_within(format, number)) {
    decoded.quality = Quality::bad;
    decoded.reason = Reason::out_of_range;
  }
  return decoded;
}

}  // namespace tidegate::drivers
