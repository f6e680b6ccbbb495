#pragma once

#include <string>

#include "core/time.h"
#include "drivers/modbus/modbus_link.h"

namespace tidegate::drivers {

/// What a bus says of a request that brought nothing: "no answer within 500ms to ASKED".
std::string what_happened(ModbusResult result, const std::string& asked, Duration timeout);
std::string what_happened(ModbusResult result, const ModbusRequest& request, Duration timeout);

/// The place of a write, as describe() takes it.
inline ModbusRequest request_at(const ModbusWrite& write) {
  return {write.unit, write.table, write.address, static_cast<std::uint16_t>(write.words.size())};
}

}  // namespace tidegate::drivers
