#include "drivers/modbus/simulated_device.h"

#include <bit>
#include <cmath>
#include <numbers>

#include "drivers/modbus/register_decoder.h"

namespace tidegate::drivers {
namespace {

constexpr Duration kPeriod = std::chrono::seconds(20);

std::uint16_t high_word(std::uint32_t value) { return static_cast<std::uint16_t>(value >> 16); }
std::uint16_t low_word(std::uint32_t value) { return static_cast<std::uint16_t>(value & 0xffffU); }

double sine(ModbusTable table, Duration elapsed) {
  const Duration shifted = table == ModbusTable::input ? elapsed - kPeriod / 4 : elapsed;
  const double turns = static_cast<double>(shifted.count()) / static_cast<double>(kPeriod.count());
  return std::sin(2.0 * std::numbers::pi * turns);
}

}  // namespace

std::uint16_t moving_value(ModbusTable table, std::uint16_t address, Duration elapsed) {
  const auto milliseconds = static_cast<std::uint64_t>(elapsed / std::chrono::milliseconds(1));
  const std::uint64_t seconds = milliseconds / 1000;
  const auto whole = low_word(static_cast<std::uint32_t>(address + seconds));
  if (is_bit_table(table)) return whole & 1U;
  const auto temperature = std::bit_cast<std::uint32_t>(static_cast<float>(20.0 + 5.0 * sine(table, elapsed)));
  const auto clock = static_cast<std::uint32_t>(milliseconds);
  switch (address) {
    case 1:
      return static_cast<std::uint16_t>(static_cast<std::int16_t>(std::lround(1000.0 * sine(table, elapsed))));
    case 2:
      return high_word(temperature);
    case 3:
      return low_word(temperature);
    case 4:
      return high_word(clock);
    case 5:
      return low_word(clock);
    default:
      return whole;
  }
}

std::uint16_t fixed_value(std::uint8_t unit, ModbusTable table, std::uint16_t address) {
  const std::uint32_t mixed = (address * 2654435761U) ^ (unit * 40503U) ^ (static_cast<std::uint32_t>(table) * 48271U);
  const auto word = static_cast<std::uint16_t>(mixed ^ (mixed >> 16));
  return is_bit_table(table) ? static_cast<std::uint16_t>((word >> 7) & 1U) : word;
}

}  // namespace tidegate::drivers
