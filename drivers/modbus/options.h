#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "core/error.h"
#include "core/time.h"

namespace tidegate::drivers {

enum class ModbusTable : std::uint8_t { coil, discrete, input, holding };

/// Where a value lies: table and 0-based protocol address.
struct ModbusAddress {
  ModbusTable table = ModbusTable::holding;
  std::uint16_t address = 0;
  bool operator==(const ModbusAddress&) const = default;
};

enum class ModbusType : std::uint8_t {
  boolean,
  int16,
  uint16,
  int32,
  uint32,
  int64,
  uint64,
  float32,
  float64,
  bcd16,
  bcd32,
  string,
};

/// How the bytes of a value lie in its registers, most significant first in ABCD.
enum class ByteOrder : std::uint8_t { abcd, cdab, badc, dcba };

struct ModbusTagOptions {
  std::string name;
  ModbusAddress address;
  ModbusType type = ModbusType::uint16;
  std::uint16_t string_bytes = 0;  // of string(N)
  ByteOrder order = ByteOrder::abcd;
  std::optional<std::uint8_t> bit;  // 0 (least significant) to 15 of a register, to a bool
  std::optional<double> scale;      // value * scale + offset, to a double; without both the raw kind is kept
  std::optional<double> offset;
  std::optional<double> min, max;  // outside: quality bad, out-of-range
  std::optional<double> deadband;
  std::optional<Duration> interval;  // default: the device's
  std::string unit;
  bool writable = false;  // then min and max bound what is written, too
  bool operator==(const ModbusTagOptions&) const = default;
};

struct ModbusDeviceOptions {
  std::string name;
  std::uint8_t unit = 1;
  Duration interval = std::chrono::seconds(1);
  std::vector<ModbusTagOptions> tags;
  bool operator==(const ModbusDeviceOptions&) const = default;
};

enum class ModbusTransport : std::uint8_t { tcp, rtu };

struct ModbusBusOptions {
  std::string name;
  ModbusTransport transport = ModbusTransport::tcp;
  std::string host;  // tcp
  std::uint16_t port = 502;
  std::string path;  // rtu: the serial device
  int baud = 9600;
  char parity = 'N';  // N, E, O
  int data_bits = 8;
  int stop_bits = 1;
  Duration timeout = std::chrono::milliseconds(500);
  int retries = 1;
  std::uint16_t max_gap = 8;                         // registers joined over a hole
  Duration backoff_most = std::chrono::seconds(60);  // longest pause between tries of a dead device
  std::vector<ModbusDeviceOptions> devices;
  bool operator==(const ModbusBusOptions&) const = default;
};

inline constexpr std::uint16_t kRegistersWrittenMax = 123;  // of one write, Modbus Application Protocol 1.1b3, 6.12
inline constexpr Duration kModbusTimeoutLeast = std::chrono::milliseconds(10);
inline constexpr Duration kModbusTimeoutMax = std::chrono::seconds(60);
inline constexpr Duration kModbusIntervalLeast = std::chrono::milliseconds(1);

/// "tcp://10.0.0.5:502", "rtu:///dev/ttyUSB0?baud=19200&parity=even&stop=1"; "rtu+tcp" is refused as not yet there.
/// Fills transport and address of `into`.
Result<void> parse_modbus_url(const std::string& url, ModbusBusOptions& into);
/// "holding:100", "input:8", "coil:3", "discrete:0", or a reference number of 5 or 6 digits ("40011" is holding:10).
Result<ModbusAddress> parse_modbus_address(const std::string& text);
/// "float32", "string(8)" ...
Result<void> parse_modbus_type(const std::string& text, ModbusTagOptions& into);
Result<ByteOrder> parse_byte_order(const std::string& text);

/// Why a tag that is writable cannot be, or has limits that its type cannot hold: the key that is to blame, and what is
/// wrong with it. Nothing for all other tags.
struct ModbusKeyProblem {
  const char* key = "";
  std::string message;
};
std::optional<ModbusKeyProblem> find_write_problem(const ModbusTagOptions& tag);

/// What single keys cannot say: types that do not fit their table, values behind the last register, names used twice,
/// units and limits out of range. make_modbus_driver refuses the same; `tidegate check` calls this.
Result<void> check_modbus_bus(const ModbusBusOptions& options);

}  // namespace tidegate::drivers
