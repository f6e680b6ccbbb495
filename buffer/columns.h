#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <vector>

#include "buffer/bytes.h"
#include "core/reading.h"

namespace tidegate::buffer {

/// One column of unsigned numbers: a mode byte, then either every number as a varint (mode 0) or pairs of run length
/// and number (mode 1), whichever has fewer varints.
void put_column(OutBuffer& out, std::span<const std::uint64_t> numbers);

/// Fills all of `numbers`; marks the reader as failed when the column is malformed.
void read_column(ByteReader& reader, std::span<std::uint64_t> numbers);

/// A double as the log stores it: `kind` says how, `payload` is the scaled integer, the float's or the double's bits.
struct StoredDouble {
  std::uint8_t kind = 0;
  std::uint64_t payload = 0;
};

inline constexpr std::uint8_t kNull = 0;  // kinds of values; stored in the log: never renumber
inline constexpr std::uint8_t kFalse = 1;
inline constexpr std::uint8_t kTrue = 2;
inline constexpr std::uint8_t kInt64 = 3;
inline constexpr std::uint8_t kUint64 = 4;
inline constexpr std::uint8_t kText = 7;
inline constexpr std::uint8_t kDoubleRaw = 5;      // 8 bytes
inline constexpr std::uint8_t kDoubleFloat = 6;    // 4 bytes: exactly a float
inline constexpr std::uint8_t kDoubleScaled = 16;  // 16 + e: integer / 10^e
inline constexpr unsigned kScaleMax = 9;
inline constexpr std::uint8_t kFloatScaled = 32;  // 32 + e, in dense frames: the float next to integer / 10^e
inline constexpr unsigned kFloatScaleMax = 4;

/// The integer of which `value` is the 10^scale-th part, bit for bit; false when there is none that is short.
bool scale_double(double value, unsigned scale, StoredDouble& stored);
/// The float that `value` is bit for bit; false when it is none.
bool narrow_double(double value, StoredDouble& stored);
/// The integer of whose 10^scale-th part `value` is the nearest float; false when there is none that is short.
bool scale_float(double value, unsigned scale, StoredDouble& stored);

/// Chooses the short form that gives back the same bits. Within a frame it keeps to the form of the value before, so
/// that a column has long runs of one kind and few divisions are tried.
class DoubleShortener {
 public:
  void begin_frame() { *this = {}; }
  StoredDouble shorten(double value);

 private:
  bool scale_from_hint(double value, StoredDouble& stored);

  unsigned scale_hint_ = 0;
  bool floats_ = false;
  std::uint32_t unscaled_run_ = 0;
};

/// The value of a scaled integer.
double unscale(std::uint64_t payload, unsigned scale);
double unscale_float(std::uint64_t payload, unsigned scale);

/// Quality, origin of the time and reason of a reading as one number, and back; false when it is no such number.
std::uint64_t state_of(const Reading& reading);
bool take_state(std::uint64_t state, Reading& reading);

inline constexpr std::array<std::int64_t, 4> kTimeUnits{1, 1'000, 1'000'000, 1'000'000'000};  // ns
/// The largest unit, as an index, that all steps between times are whole multiples of. Steps wrap modulo 2^64, and a
/// multiple survives that: it is divided and multiplied as the same signed number.
std::uint8_t common_unit(std::span<const std::uint64_t> steps);

/// The value before of the same tag and kind in this frame, as the guess for the next one; 0 when there is none.
class ValueGuess {
 public:
  void begin_frame(std::size_t tags);
  std::uint64_t get(std::uint32_t tag, std::uint8_t kind) const {
    const Last& last = last_[tag];
    return last.frame == frame_ && last.kind == kind ? last.value : 0;
  }
  void set(std::uint32_t tag, std::uint8_t kind, std::uint64_t value) { last_[tag] = {value, frame_, kind}; }

 private:
  struct Last {
    std::uint64_t value = 0;
    std::uint32_t frame = 0;
    std::uint8_t kind = 0;
  };
  std::vector<Last> last_;
  std::uint32_t frame_ = 0;
};

}  // namespace tidegate::buffer
