#pragma once

#include <cstdint>
#include <span>
#include <string>

#include "core/clock.h"
#include "core/error.h"
#include "core/reading.h"
#include "core/tag_write.h"
#include "drivers/modbus/options.h"

namespace tidegate::drivers {

inline constexpr std::uint16_t kRegistersMax = 125;  // of one request, Modbus Application Protocol 1.1b3, 6.3
inline constexpr std::uint16_t kBitsMax = 2000;      // 6.1

/// One read of one unit: `count` registers or bits from `address`.
struct ModbusRequest {
  std::uint8_t unit = 1;
  ModbusTable table = ModbusTable::holding;
  std::uint16_t address = 0;
  std::uint16_t count = 1;
};

/// A write to one unit: of one coil, or of as many registers from `address` on.
struct ModbusWrite {
  std::uint8_t unit = 1;
  ModbusTable table = ModbusTable::holding;
  std::uint16_t address = 0;
  std::span<const std::uint16_t> words;
  BootTime until = BootTime::max();  // it is sent by then, or not at all
};

/// How a request ended. The first is an answer with values, the others up to device_busy are answers without any.
enum class ModbusResult : std::uint8_t {
  ok,
  illegal_function,
  illegal_address,
  illegal_value,
  device_failure,
  device_busy,
  gateway_failure,  // a gateway answered that the device does not
  timeout,
  bad_reply,  // not an answer to this request: damaged, short, or of the wrong unit, function or length
  not_connected,
  interrupted,  // by ModbusLink::interrupt(): says nothing of device or connection, and is not counted
};
inline constexpr std::size_t kModbusResultCount = 10;  // that are counted

/// "ok", "illegal_address" ...: the names that counters carry.
const char* to_string(ModbusResult result);
Reason to_reason(ModbusResult result);
/// For the code of an exception reply (Modbus Application Protocol 1.1b3, 7); codes that do not exist are
/// device_failure.
ModbusResult from_exception(std::uint8_t code);
/// Whether the device itself said something.
inline bool is_answer(ModbusResult result) { return result <= ModbusResult::device_busy; }

/// How a write ended.
struct ModbusWriteReply {
  ModbusResult result = ModbusResult::not_connected;
  bool is_sent = false;        // the device may have it
  std::uint8_t exception = 0;  // its code, when that was the answer
  bool is_late = false;        // write.until was over before it could be sent; the result says nothing then
};
/// What that says of the value: `unknown` wherever the device may have taken it without saying so.
WriteResult to_write_result(const ModbusWriteReply& reply);

const char* to_string(ModbusTable table);
/// "holding 100 to 109 of unit 2".
std::string describe(const ModbusRequest& request);

/// The way to the devices of one bus; blocking, with deadlines. The bus thread alone calls it, except interrupt().
/// An answer that comes late is never taken for the answer of a later read: the link keeps itself in step.
class ModbusLink {
 public:
  virtual ~ModbusLink() = default;

  /// Opens the connection or the serial device. The message says what to check. Error `give_up_item`: it was
  /// interrupted.
  virtual Result<void> connect() = 0;
  /// False before connect() and after the link has found its connection lost.
  virtual bool is_connected() const = 0;
  /// Reads request.count values into `into` (as many); bits come as 0 and 1. Only `ok` fills it.
  virtual ModbusResult read(const ModbusRequest& request, std::span<std::uint16_t> into) = 0;
  /// Sends the write once, whatever comes of it, and nothing of it later: no kernel sends again what nobody answered in
  /// time. Before that it may wait, for a connection or for answers that are owed, but not beyond write.until.
  virtual ModbusWriteReply write(const ModbusWrite& write) = 0;
  virtual void close() = 0;
  /// Any thread: ends what connect(), read() or write() waits for, now and from now on.
  virtual void interrupt() = 0;
};

}  // namespace tidegate::drivers
