#pragma once

#include <cstdint>
#include <limits>
#include <span>

#include "core/reading.h"
#include "core/tag.h"
#include "core/value.h"
#include "drivers/modbus/decimal_scale.h"
#include "drivers/modbus/options.h"

namespace tidegate::drivers {

/// Coils and discrete inputs hold bits, the other two tables registers.
inline bool is_bit_table(ModbusTable table) { return table == ModbusTable::coil || table == ModbusTable::discrete; }

/// Of a tag in a table of registers.
std::uint16_t register_count(const ModbusTagOptions& options);

/// How the value of one tag is made from what was read: the part of ModbusTagOptions that every poll needs.
struct ValueFormat {
  ModbusType type = ModbusType::uint16;
  ByteOrder order = ByteOrder::abcd;
  bool scaled = false;      // then value * scale + offset, a double
  bool from_bits = false;   // read from a table of bits
  std::int8_t bit = -1;     // of a register, or -1
  std::uint16_t count = 1;  // registers, or bits of a bit table
  std::uint16_t string_bytes = 0;
  DecimalScale scale;
  double min = -std::numeric_limits<double>::infinity();
  double max = std::numeric_limits<double>::infinity();
};

/// A coil or a discrete input is a bool whatever type the options say.
ValueFormat make_value_format(const ModbusTagOptions& options);

/// What kind of value decode_value() makes of it.
ValueType value_type(const ValueFormat& format);

struct DecodedValue {
  Value value;
  Quality quality = Quality::good;
  Reason reason = Reason::none;
};

/// Makes the value of `words`, format.count of them: registers as the wire had them (high byte first), or one bit a
/// word. Bad, with a null value, when the words hold no value of the type: NaN and infinities, digits above 9 in BCD,
/// text that is not UTF-8. Bad with the value when it lies outside min and max.
DecodedValue decode_value(const ValueFormat& format, std::span<const std::uint16_t> words);

}  // namespace tidegate::drivers
