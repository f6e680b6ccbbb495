#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "core/error.h"
#include "core/time.h"
#include "drivers/modbus/options.h"

namespace tidegate::drivers {

struct SimulatedModbusOptions {
  std::string host = "127.0.0.1";
  std::uint16_t port = 0;   // 0: any free one
  std::string serial_path;  // when set, Modbus RTU on this device and no TCP
  int baud = 9600;
  char parity = 'N';
  int stop_bits = 1;
  std::vector<std::uint8_t> units{1};  // those that answer; requests to others are ignored
  std::uint32_t registers = 1000;      // of each table, from address 0; beyond is an illegal address
  bool moving = true;                  // moving_value() of simulated_device.h, else fixed_value()
};

enum class WrongReply : std::uint8_t { none, transaction, unit, function, byte_count, truncated, checksum };

/// What a unit does wrong.
struct SimulatedModbusFaults {
  struct Refused {
    ModbusTable table = ModbusTable::holding;
    std::uint16_t first = 0;
    std::uint16_t last = 0;
    std::uint8_t exception = 2;
  };
  bool silent = false;
  Duration delay{};                // before each answer; the others on the bus wait meanwhile
  std::vector<Refused> refused{};  // reads that touch one of these get its exception
  WrongReply wrong = WrongReply::none;
};

/// Modbus devices behind one address or one serial line, for `tidegate simulate modbus`, the demo and tests; libmodbus'
/// server side in a thread of its own. Registers and coils that a client writes keep what was written.
/// Any thread may call it.
class SimulatedModbusServer {
 public:
  virtual ~SimulatedModbusServer() = default;
  virtual std::uint16_t port() const = 0;  // 0 on a serial line
  virtual void set_faults(std::uint8_t unit, SimulatedModbusFaults faults) = 0;
  virtual void set_value(std::uint8_t unit, ModbusTable table, std::uint16_t address, std::uint16_t value) = 0;
  /// Requests to the unit so far, answered or not.
  virtual std::uint64_t requests(std::uint8_t unit) const = 0;
  virtual std::uint64_t connections() const = 0;
  virtual void stop() = 0;
};

Result<std::unique_ptr<SimulatedModbusServer>> start_simulated_modbus(const SimulatedModbusOptions& options);

}  // namespace tidegate::drivers
