#pragma once

#include <cstdint>

#include "core/time.h"
#include "drivers/modbus/options.h"

namespace tidegate::drivers {

/// What a simulated device holds at `elapsed` after its start; pure.
///
/// Registers, the input table a quarter of a period behind the holding table (sines have a period of 20 s):
///   0      seconds since the start
///   1      int16, 1000 times a sine
///   2..3   float32 ABCD, 20 + 5 times the sine
///   4..5   uint32 ABCD, milliseconds since the start
///   others address + seconds
/// Coils and discrete inputs change every second, neighbours opposite to each other.
std::uint16_t moving_value(ModbusTable table, std::uint16_t address, Duration elapsed);

/// A value that says where it was read from: another one for every unit, table and address near each other.
std::uint16_t fixed_value(std::uint8_t unit, ModbusTable table, std::uint16_t address);

}  // namespace tidegate::drivers
