#include "drivers/modbus/decimal_scale.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <limits>
#include <string_view>

namespace tidegate::drivers {
namespace {

constexpr std::int64_t kExactMax = std::int64_t{1} << std::numeric_limits<double>::digits;
constexpr int kPowerMax = 18;  // of ten, in an int64; each is a double without rounding

/// digits * 10^exponent
struct Decimal {
  std::int64_t digits = 0;
  int exponent = 0;
};

// The shortest decimal number that reads back as this one: what was written, unless that had more digits than matter.
std::optional<Decimal> as_decimal(double number) {
  std::array<char, 32> buffer{};
  const auto printed =
      std::to_chars(buffer.data(), buffer.data() + buffer.size(), number, std::chars_format::scientific);
  const std::string_view text(buffer.data(), static_cast<std::size_t>(printed.ptr - buffer.data()));
  const std::size_t e = text.find('e');
  if (e == std::string_view::npos) return std::nullopt;  // no number
  Decimal decimal;
  const bool has_plus = text[e + 1] == '+';
  std::from_chars(text.data() + e + (has_plus ? 2 : 1), text.data() + text.size(), decimal.exponent);
  bool is_fraction = false;
  for (const char c : text.substr(0, e)) {
    if (c == '.') is_fraction = true;
    if (c < '0' || c > '9') continue;
    decimal.digits = decimal.digits * 10 + (c - '0');
    if (is_fraction) --decimal.exponent;
  }
  if (text.front() == '-') decimal.digits = -decimal.digits;
  if (decimal.digits == 0) decimal.exponent = 0;
  return decimal;
}

bool is_exact(std::int64_t number) { return -kExactMax <= number && number <= kExactMax; }

std::int64_t power_of_ten(int exponent) {
  std::int64_t power = 1;
  for (; exponent > 0; --exponent) power *= 10;
  return power;
}

// The decimal's digits when it is written with that exponent, which is no greater than its own.
std::optional<std::int64_t> digits_at(const Decimal& decimal, int exponent) {
  const int more = decimal.exponent - exponent;
  std::int64_t digits = 0;
  if (more > kPowerMax || __builtin_mul_overflow(decimal.digits, power_of_ten(more), &digits)) return std::nullopt;
  return is_exact(digits) ? std::optional(digits) : std::nullopt;
}

}  // namespace

DecimalScale::DecimalScale(double scale, double offset)
    : scale_(scale), offset_(offset), whole_(whole(scale, offset)) {}

std::optional<DecimalScale::Whole> DecimalScale::whole(double scale, double offset) {
  const auto factor = as_decimal(scale);
  const auto summand = as_decimal(offset);
  if (!factor || !summand) return std::nullopt;
  const int exponent = std::min({factor->exponent, summand->exponent, 0});
  if (exponent < -kPowerMax) return std::nullopt;
  const auto factor_digits = digits_at(*factor, exponent);
  const auto summand_digits = digits_at(*summand, exponent);
  if (!factor_digits || !summand_digits) return std::nullopt;
  return Whole{*factor_digits, *summand_digits, static_cast<double>(power_of_ten(-exponent))};
}

double DecimalScale::apply(double value) const {
  const bool is_whole = std::abs(value) <= static_cast<double>(kExactMax) && value == std::trunc(value);
  std::int64_t sum = 0;
  if (whole_ && is_whole && !__builtin_mul_overflow(static_cast<std::int64_t>(value), whole_->factor, &sum) &&
      !__builtin_add_overflow(sum, whole_->summand, &sum) && is_exact(sum)) {
    return static_cast<double>(sum) / whole_->divisor;
  }
  return value * scale_ + offset_;
}

}  // namespace tidegate::drivers
