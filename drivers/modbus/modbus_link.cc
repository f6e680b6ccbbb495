#include "drivers/modbus/modbus_link.h"

namespace tidegate::drivers {

const char* to_string(ModbusResult result) {
  switch (result) {
    case ModbusResult::ok:
      return "ok";
    case ModbusResult::illegal_function:
      return "illegal_function";
    case ModbusResult::illegal_address:
      return "illegal_address";
    case ModbusResult::illegal_value:
      return "illegal_value";
    case ModbusResult::device_failure:
      return "device_failure";
    case ModbusResult::device_busy:
      return "device_busy";
    case ModbusResult::gateway_failure:
      return "gateway_failure";
    case ModbusResult::timeout:
      return "timeout";
    case ModbusResult::bad_reply:
      return "bad_reply";
    case ModbusResult::not_connected:
      return "not_connected";
    case ModbusResult::interrupted:
      return "interrupted";
  }
  return "unknown";
}

Reason to_reason(ModbusResult result) {
  switch (result) {
    case ModbusResult::ok:
      return Reason::none;
    case ModbusResult::illegal_function:
      return Reason::illegal_function;
    case ModbusResult::illegal_address:
      return Reason::illegal_address;
    case ModbusResult::illegal_value:
      return Reason::illegal_value;
    case ModbusResult::device_failure:
      return Reason::device_failure;
    case ModbusResult::device_busy:
      return Reason::device_busy;
    case ModbusResult::gateway_failure:
      return Reason::gateway_failure;
    case ModbusResult::timeout:
      return Reason::timeout;
    case ModbusResult::bad_reply:
      return Reason::bad_reply;
    case ModbusResult::not_connected:
    case ModbusResult::interrupted:
      return Reason::not_connected;
  }
  return Reason::bad_reply;
}

ModbusResult from_exception(std::uint8_t code) {
  switch (code) {
    case 1:
      return ModbusResult::illegal_function;
    case 2:
      return ModbusResult::illegal_address;
    case 3:
      return ModbusResult::illegal_value;
    case 5:  // acknowledge: the device will need long
    case 6:
      return ModbusResult::device_busy;
    case 10:
    case 11:
      return ModbusResult::gateway_failure;
    default:
      return ModbusResult::device_failure;  // 4; 7 negative acknowledge, 8 memory parity
  }
}

WriteResult to_write_result(const ModbusWriteReply& reply) {
  constexpr std::uint8_t kAcknowledge = 5;      // taken, and not done yet
  constexpr std::uint8_t kNoPathToDevice = 10;  // of a gateway that passed nothing on
  if (reply.result == ModbusResult::ok) return WriteResult::written;
  if (!reply.is_sent) return WriteResult::refused;
  if (reply.exception == 0 || reply.exception == kAcknowledge) return WriteResult::unknown;
  const bool is_lost = reply.result == ModbusResult::gateway_failure && reply.exception != kNoPathToDevice;
  return is_lost ? WriteResult::unknown : WriteResult::failed;
}

const char* to_string(ModbusTable table) {
  switch (table) {
    case ModbusTable::coil:
      return "coil";
    case ModbusTable::discrete:
      return "discrete";
    case ModbusTable::input:
      return "input";
    case ModbusTable::holding:
      return "holding";
  }
  return "unknown";
}

std::string describe(const ModbusRequest& request) {
  std::string text = std::string(to_string(request.table)) + " " + std::to_string(request.address);
  if (request.count > 1) text += " to " + std::to_string(request.address + request.count - 1);
  return text + " of unit " + std::to_string(request.unit);
}

}  // namespace tidegate::drivers
