#pragma once

#include <cstdint>
#include <vector>

#include "core/error.h"
#include "core/value.h"
#include "drivers/modbus/register_decoder.h"

namespace tidegate::drivers {

/// The inverse of decode_value(): format.count words that hold the value, or one bit. Error `invalid` says what was
/// found and what is allowed.
///
/// What a whole number in a register cannot hold is refused and not rounded: a value has to lie on a step of the
/// register, up to a hundredth of a step, by which a number of single precision may miss it. Registers of floating
/// point take the nearest number that they can hold. Scaled numbers are refused where double precision is not exact. A
/// coil takes true and false, 1 and 0. A text is filled up with zero bytes. Nothing is written that would be read back
/// outside of format.min and format.max.
Result<std::vector<std::uint16_t>> encode_value(const ValueFormat& format, const Value& value);

/// The least and the greatest value that registers of the format can hold, in the unit of the tag; of numbers.
struct ValueRange {
  double least = 0;
  double most = 0;
};
ValueRange range_of(const ValueFormat& format);

}  // namespace tidegate::drivers
