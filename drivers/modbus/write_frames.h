#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "drivers/modbus/modbus_link.h"

namespace tidegate::drivers {

/// The function code of a write: 5 of a coil, 6 of one register, 16 of several.
std::uint8_t write_function(const ModbusWrite& write);

/// What is sent of a write: from the function code on, without checksum.
std::vector<std::uint8_t> write_pdu(const ModbusWrite& write);

/// Judges a reply to `write`: `unit` and `pdu` (from the function code on, without checksum) as they came, of any
/// length and content. `ok` only when they repeat the write exactly as the protocol wants it.
ModbusWriteReply check_write_reply(const ModbusWrite& write, std::uint8_t unit, std::span<const std::uint8_t> pdu);

}  // namespace tidegate::drivers
