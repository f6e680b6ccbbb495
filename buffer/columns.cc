#include "buffer/columns.h"

#include <algorithm>
#include <bit>
#include <cmath>

namespace tidegate::buffer {
namespace {

constexpr std::uint8_t kModePlain = 0;
constexpr std::uint8_t kModeRuns = 1;
constexpr unsigned kOriginShift = 2;
constexpr unsigned kReasonShift = 3;
constexpr double kPowersOfTen[kScaleMax + 1] = {1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9};
// Above this a scaled integer takes as many bytes as the double itself.
constexpr double kScaledMax = 140737488355328.0;  // 2^47
// A float that is noise is next to such a number by chance when there are many of them.
constexpr double kScaledFloatMax = 1048576.0;  // 2^20
// How many values that did not scale are stored before all scales are tried again.
constexpr std::uint32_t kUnscaledPatience = 16;

std::size_t count_runs(std::span<const std::uint64_t> numbers) {
  std::size_t runs = numbers.empty() ? 0 : 1;
  for (std::size_t i = 1; i < numbers.size(); ++i) runs += numbers[i] != numbers[i - 1] ? 1U : 0U;
  return runs;
}

std::byte* write_runs(std::byte* at, std::span<const std::uint64_t> numbers) {
  for (std::size_t i = 0; i < numbers.size();) {
    std::size_t end = i + 1;
    while (end < numbers.size() && numbers[end] == numbers[i]) ++end;
    at = write_varint(at, end - i);
    at = write_varint(at, numbers[i]);
    i = end;
  }
  return at;
}

bool same_bits(double a, double b) { return std::bit_cast<std::uint64_t>(a) == std::bit_cast<std::uint64_t>(b); }

}  // namespace

bool scale_double(double value, unsigned scale, StoredDouble& stored) {
  const double scaled = value * kPowersOfTen[scale];
  if (!(std::fabs(scaled) < kScaledMax)) return false;
  const auto integer = static_cast<std::int64_t>(scaled < 0 ? scaled - 0.5 : scaled + 0.5);
  if (!same_bits(static_cast<double>(integer) / kPowersOfTen[scale], value)) return false;
  stored = {static_cast<std::uint8_t>(kDoubleScaled + scale), static_cast<std::uint64_t>(integer)};
  return true;
}

bool narrow_double(double value, StoredDouble& stored) {
  if (!(std::fabs(value) <= 3.4028234663852886e38)) return false;  // beyond a float's range the cast is undefined
  const auto narrow = static_cast<float>(value);
  if (!same_bits(static_cast<double>(narrow), value)) return false;
  stored = {kDoubleFloat, std::bit_cast<std::uint32_t>(narrow)};
  return true;
}

bool scale_float(double value, unsigned scale, StoredDouble& stored) {
  const double scaled = value * kPowersOfTen[scale];
  if (!(std::fabs(scaled) < kScaledFloatMax)) return false;
  const auto integer = static_cast<std::uint64_t>(static_cast<std::int64_t>(scaled < 0 ? scaled - 0.5 : scaled + 0.5));
  if (!same_bits(unscale_float(integer, scale), value)) return false;
  stored = {static_cast<std::uint8_t>(kFloatScaled + scale), integer};
  return true;
}

void put_column(OutBuffer& out, std::span<const std::uint64_t> numbers) {
  const bool runs = count_runs(numbers) * 2 < numbers.size();
  std::byte* at = out.room(1 + numbers.size() * kVarintBytesMax);
  *at++ = static_cast<std::byte>(runs ? kModeRuns : kModePlain);
  if (runs) {
    at = write_runs(at, numbers);
  } else {
    for (const std::uint64_t number : numbers) at = write_varint(at, number);
  }
  out.end_at(at);
}

void read_column(ByteReader& reader, std::span<std::uint64_t> numbers) {
  const std::uint8_t mode = reader.byte();
  if (mode == kModePlain) {
    for (std::uint64_t& number : numbers) number = reader.varint();
    return;
  }
  if (mode != kModeRuns) return reader.fail();
  for (std::size_t i = 0; i < numbers.size();) {
    const std::uint64_t run = reader.varint();
    const std::uint64_t number = reader.varint();
    if (run == 0 || run > numbers.size() - i) return reader.fail();
    std::fill_n(numbers.begin() + static_cast<std::ptrdiff_t>(i), run, number);
    i += static_cast<std::size_t>(run);
  }
}

bool DoubleShortener::scale_from_hint(double value, StoredDouble& stored) {
  for (unsigned candidate = scale_hint_; candidate <= kScaleMax; ++candidate) {
    if (!scale_double(value, candidate, stored)) continue;
    scale_hint_ = candidate;
    return true;
  }
  // A large number may only fit without the decimals that its neighbours have.
  return scale_hint_ > 0 && scale_double(value, 0, stored);
}

StoredDouble DoubleShortener::shorten(double value) {
  StoredDouble stored;
  if (unscaled_run_ > 0 && unscaled_run_ % kUnscaledPatience != 0) {
    ++unscaled_run_;
    if (floats_ && narrow_double(value, stored)) return stored;
    if (scale_double(value, scale_hint_, stored)) {
      unscaled_run_ = 0;
      return stored;
    }
    if (narrow_double(value, stored)) return stored;
    return {kDoubleRaw, std::bit_cast<std::uint64_t>(value)};
  }
  if (scale_from_hint(value, stored)) {
    unscaled_run_ = 0;
    return stored;
  }
  ++unscaled_run_;
  floats_ = narrow_double(value, stored);
  if (!floats_) stored = {kDoubleRaw, std::bit_cast<std::uint64_t>(value)};
  return stored;
}

std::uint64_t state_of(const Reading& reading) {
  return static_cast<std::uint64_t>(reading.quality) | static_cast<std::uint64_t>(reading.origin) << kOriginShift |
         static_cast<std::uint64_t>(reading.reason) << kReasonShift;
}

bool take_state(std::uint64_t state, Reading& reading) {
  const std::uint64_t quality = state & 3;
  const std::uint64_t reason = state >> kReasonShift;
  if (quality > static_cast<std::uint64_t>(Quality::bad) || reason > UINT8_MAX) return false;
  reading.quality = static_cast<Quality>(quality);
  reading.origin = static_cast<TimeOrigin>(state >> kOriginShift & 1);
  reading.reason = static_cast<Reason>(reason);
  return true;
}

std::uint8_t common_unit(std::span<const std::uint64_t> steps) {
  auto unit = static_cast<std::uint8_t>(kTimeUnits.size() - 1);
  for (const std::uint64_t step : steps) {
    while (static_cast<std::int64_t>(step) % kTimeUnits[unit] != 0) --unit;
    if (unit == 0) break;
  }
  return unit;
}

double unscale(std::uint64_t payload, unsigned scale) {
  return static_cast<double>(static_cast<std::int64_t>(payload)) / kPowersOfTen[scale];
}

double unscale_float(std::uint64_t payload, unsigned scale) {
  return static_cast<double>(static_cast<float>(unscale(payload, scale)));
}

void ValueGuess::begin_frame(std::size_t tags) {
  if (last_.size() < tags) last_.resize(tags);
  if (++frame_ == 0) {
    std::fill(last_.begin(), last_.end(), Last{});
    frame_ = 1;
  }
}

}  // namespace tidegate::buffer
