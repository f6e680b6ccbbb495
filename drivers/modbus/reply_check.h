#pragma once

#include <cstdint>
#include <span>

#include "drivers/modbus/modbus_link.h"

namespace tidegate::drivers {

/// The function code that reads the table.
std::uint8_t read_function(ModbusTable table);

/// Judges a reply to `request`: `unit` and `pdu` (from the function code on, without checksum) as they came, of any
/// length and content. `ok` only when unit, function, byte count and length are exactly those of the request; then
/// `into`, request.count long, holds the values. An exception reply gives its result, anything else is bad_reply.
ModbusResult check_reply(const ModbusRequest& request, std::uint8_t unit, std::span<const std::uint8_t> pdu,
                         std::span<std::uint16_t> into);

}  // namespace tidegate::drivers
