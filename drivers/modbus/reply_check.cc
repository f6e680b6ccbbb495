#include "drivers/modbus/reply_check.h"

#include <cassert>

#include "drivers/modbus/register_decoder.h"

namespace tidegate::drivers {
namespace {

constexpr std::uint8_t kExceptionBit = 0x80;

}  // namespace

std::uint8_t read_function(ModbusTable table) {
  switch (table) {
    case ModbusTable::coil:
      return 1;
    case ModbusTable::discrete:
      return 2;
    case ModbusTable::holding:
      return 3;
    case ModbusTable::input:
      return 4;
  }
  return 0;
}

ModbusResult check_reply(const ModbusRequest& request, std::uint8_t unit, std::span<const std::uint8_t> pdu,
                         std::span<std::uint16_t> into) {
  assert(into.size() == request.count);
  if (pdu.size() < 2 || unit != request.unit) return ModbusResult::bad_reply;
  const std::uint8_t function = read_function(request.table);
  if (pdu[0] == (function | kExceptionBit)) {
    return pdu.size() == 2 ? from_exception(pdu[1]) : ModbusResult::bad_reply;
  }
  const bool bits = is_bit_table(request.table);
  const std::size_t bytes = bits ? (std::size_t{request.count} + 7) / 8 : std::size_t{request.count} * 2;
  if (pdu[0] != function || pdu[1] != bytes || pdu.size() != 2 + bytes) return ModbusResult::bad_reply;
  const auto data = pdu.subspan(2);
  for (std::size_t i = 0; i < into.size(); ++i) {
    const unsigned value =
        bits ? (unsigned{data[i / 8]} >> (i % 8)) & 1U : (unsigned{data[2 * i]} << 8) | data[2 * i + 1];
    into[i] = static_cast<std::uint16_t>(value);
  }
  return ModbusResult::ok;
}

}  // namespace tidegate::drivers
