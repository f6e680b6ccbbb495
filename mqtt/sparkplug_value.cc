#include "mqtt/sparkplug_value.h"

#include <limits>
#include <optional>
#include <string>
#include <utility>

#include "core/text.h"

namespace tidegate::mqtt {
namespace {

using Problem = SparkplugValueProblem;

/// An integer field: its bits, and how many there are.
struct Bits {
  std::uint64_t bits = 0;
  int width = 64;
};

std::optional<Bits> bits_of(const SparkplugValue& value) {
  if (const auto* narrow = std::get_if<std::uint32_t>(&value)) return Bits{*narrow, 32};
  if (const auto* wide = std::get_if<std::uint64_t>(&value)) return Bits{*wide, 64};
  return std::nullopt;
}

std::int64_t sign_extended(std::uint64_t bits, int width) {
  const int unused = 64 - width;
  return static_cast<std::int64_t>(bits << static_cast<unsigned>(unused)) >> static_cast<unsigned>(unused);
}

Problem take_signed(Bits field, int width, Value& value) {
  const std::int64_t number = sign_extended(field.bits, field.width);
  if (width >= field.width) {
    if (width > field.width && number < 0) return Problem::bad_number;  // -1 or 4294967295: nobody can tell
    value = number;
    return Problem::none;
  }
  const std::int64_t beyond = std::int64_t{1} << static_cast<unsigned>(width - 1);
  if (number >= -beyond && number < beyond) {
    value = number;
    return Problem::none;
  }
  if (field.bits >> static_cast<unsigned>(width) != 0) return Problem::bad_number;
  value = sign_extended(field.bits, width);
  return Problem::none;
}

Problem take_unsigned(Bits field, int width, Value& value) {
  if (width < 64 && field.bits >> static_cast<unsigned>(width) != 0) return Problem::bad_number;
  if (field.bits <= static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max())) {
    value = static_cast<std::int64_t>(field.bits);
  } else {
    value = field.bits;
  }
  return Problem::none;
}

struct Integer {
  bool is_signed = false;
  int width = 64;
};

std::optional<Integer> integer_of(SparkplugType type) {
  switch (type) {
    case SparkplugType::int8:
      return Integer{true, 8};
    case SparkplugType::int16:
      return Integer{true, 16};
    case SparkplugType::int32:
      return Integer{true, 32};
    case SparkplugType::int64:
      return Integer{true, 64};
    case SparkplugType::uint8:
      return Integer{false, 8};
    case SparkplugType::uint16:
      return Integer{false, 16};
    case SparkplugType::uint32:
      return Integer{false, 32};
    case SparkplugType::uint64:
    case SparkplugType::date_time:
      return Integer{false, 64};
    default:
      return std::nullopt;
  }
}

Problem take_text(std::string& text, Value& value) {
  if (!is_valid_utf8(text)) return Problem::not_utf8;
  value = std::move(text);
  return Problem::none;
}

bool is_text(SparkplugType type) {
  return type == SparkplugType::string || type == SparkplugType::text || type == SparkplugType::uuid;
}

bool is_real(SparkplugType type) { return type == SparkplugType::float32 || type == SparkplugType::float64; }

// What says itself what it is, where the type does not say otherwise.
Problem take_as_it_is(SparkplugMetric& metric, SparkplugType type, Value& value) {
  const bool is_any = type == SparkplugType::unknown;
  if (const auto* flag = std::get_if<bool>(&metric.value);
      flag != nullptr && (is_any || type == SparkplugType::boolean)) {
    value = *flag;
  } else if (const auto* single = std::get_if<float>(&metric.value); single != nullptr && (is_any || is_real(type))) {
    value = static_cast<double>(*single);
  } else if (const auto* real = std::get_if<double>(&metric.value); real != nullptr && (is_any || is_real(type))) {
    value = *real;
  } else if (auto* text = std::get_if<std::string>(&metric.value); text != nullptr && (is_any || is_text(type))) {
    return take_text(*text, value);
  } else {
    return Problem::type_mismatch;
  }
  return Problem::none;
}

}  // namespace

const char* describe(SparkplugValueProblem problem) {
  switch (problem) {
    case Problem::none:
      return "";
    case Problem::missing:
      return "there is no value";
    case Problem::no_type:
      return "nothing says of which data type the integer is";
    case Problem::type_mismatch:
      return "the value is not of the metric's data type";
    case Problem::bad_number:
      return "the number is beyond its data type";
    case Problem::not_utf8:
      return "the text is not UTF-8";
    case Problem::unsupported_type:
      return "values of this data type cannot be taken";
  }
  return "";
}

SparkplugValueProblem take_sparkplug_value(SparkplugMetric& metric, SparkplugType type, Value& value) {
  if (type > SparkplugType::uuid) return Problem::unsupported_type;
  if (std::holds_alternative<std::monostate>(metric.value)) return Problem::missing;
  const auto bits = bits_of(metric.value);
  if (!bits) return take_as_it_is(metric, type, value);
  if (type == SparkplugType::unknown) return Problem::no_type;
  const auto integer = integer_of(type);
  if (!integer) return Problem::type_mismatch;
  return integer->is_signed ? take_signed(*bits, integer->width, value) : take_unsigned(*bits, integer->width, value);
}

}  // namespace tidegate::mqtt
