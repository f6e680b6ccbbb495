#include <string_view>

#include "core/parse_whole.h"
#include "core/shown_address.h"
#include "core/text.h"
#include "drivers/modbus/options.h"

namespace tidegate::drivers {
namespace {

constexpr std::string_view kTcp = "tcp://";
constexpr std::string_view kRtu = "rtu://";
constexpr std::string_view kExamples = R"("tcp://10.0.0.5:502" or "rtu:///dev/ttyUSB0?baud=19200&parity=even&stop=1")";

std::string quoted(std::string_view text) { return "\"" + clip(text) + "\""; }
std::string shown(std::string_view address) { return "\"" + shown_address(address) + "\""; }
// Somebody may have taken this place for that of a password.
std::string shown_port(std::string_view text) {
  return text.find_first_not_of("0123456789-") == std::string_view::npos ? quoted(text) : "\"...\"";
}

Result<void> parse_port(std::string_view text, std::uint16_t& port) {
  const auto number = parse_whole<long>(text);
  if (!number || *number < 1 || *number > 65535) {
    return fail(ErrorCode::invalid,
                "port " + shown_port(text) + " of the Modbus URL: a number from 1 to 65535 is allowed");
  }
  port = static_cast<std::uint16_t>(*number);
  return {};
}

bool is_host_character(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' || c == '-' || c == '_';
}

bool is_host(std::string_view text) {
  if (text.empty() || text.size() > 253) return false;
  for (const char c : text) {
    if (!is_host_character(c)) return false;
  }
  return true;
}

bool is_bracketed_host(std::string_view text) {
  if (text.empty()) return false;
  for (const char c : text) {
    if (!is_host_character(c) && c != ':' && c != '%') return false;
  }
  return true;
}

// "[" host "]" [":" port], the form that an IPv6 address needs.
Result<void> parse_bracketed(std::string_view rest, ModbusBusOptions& into) {
  const auto end = rest.find(']');
  const auto host = rest.substr(1, end == std::string_view::npos ? end : end - 1);
  const auto tail = end == std::string_view::npos ? std::string_view() : rest.substr(end + 1);
  if (end == std::string_view::npos || !is_bracketed_host(host) || (!tail.empty() && tail.front() != ':')) {
    return fail(ErrorCode::invalid,
                "Modbus host " + shown(rest) + R"(: an IPv6 address is written like "tcp://[fd00::5]:502")");
  }
  into.host = host;
  return tail.empty() ? Result<void>() : parse_port(tail.substr(1), into.port);
}

Result<void> parse_tcp(std::string_view rest, ModbusBusOptions& into) {
  into.transport = ModbusTransport::tcp;
  into.port = 502;
  if (rest.ends_with('/')) rest.remove_suffix(1);
  if (rest.starts_with('[')) return parse_bracketed(rest, into);
  const auto colon = rest.find(':');
  const auto host = rest.substr(0, colon);
  if (!is_host(host)) {
    return fail(ErrorCode::invalid, "Modbus host " + shown(host) +
                                        ": a host name, an IPv4 address or an IPv6 address in brackets is allowed, "
                                        "then optionally a port, as in \"tcp://10.0.0.5:502\"");
  }
  into.host = host;
  return colon == std::string_view::npos ? Result<void>() : parse_port(rest.substr(colon + 1), into.port);
}

Result<void> parse_baud(std::string_view value, ModbusBusOptions& into) {
  // What termios has a constant for and libmodbus 3.1.6 takes; anything else it would silently run at 9600.
  constexpr int kRates[] = {110,   300,   600,    1200,   2400,   4800,   9600,   19200,
                            38400, 57600, 115200, 230400, 460800, 500000, 576000, 921600};
  const auto number = parse_whole<long>(value);
  for (const int rate : kRates) {
    if (number && *number == rate) {
      into.baud = rate;
      return {};
    }
  }
  return fail(ErrorCode::invalid, "baud=" + clip(value) +
                                      ": 110, 300, 600, 1200, 2400, 4800, 9600, 19200, 38400, 57600, 115200, 230400, "
                                      "460800, 500000, 576000 and 921600 are allowed");
}

Result<void> parse_parity(std::string_view value, ModbusBusOptions& into) {
  if (value == "none")
    into.parity = 'N';
  else if (value == "even")
    into.parity = 'E';
  else if (value == "odd")
    into.parity = 'O';
  else
    return fail(ErrorCode::invalid, "parity=" + clip(value) + ": none, even and odd are allowed");
  return {};
}

Result<void> parse_serial_setting(std::string_view key, std::string_view value, ModbusBusOptions& into) {
  if (key == "baud") return parse_baud(value, into);
  if (key == "parity") return parse_parity(value, into);
  if (key == "stop") {
    if (value != "1" && value != "2") return fail(ErrorCode::invalid, "stop=" + clip(value) + ": 1 and 2 are allowed");
    into.stop_bits = value == "1" ? 1 : 2;
    return {};
  }
  if (key == "data") {
    if (value != "8") return fail(ErrorCode::invalid, "data=" + clip(value) + ": Modbus RTU has 8 data bits");
    into.data_bits = 8;
    return {};
  }
  return fail(ErrorCode::invalid,
              "serial setting " + quoted(key) + " is not known: baud, parity, stop and data are allowed");
}

Result<void> parse_rtu(std::string_view rest, ModbusBusOptions& into) {
  const auto question = rest.find('?');
  const auto path = rest.substr(0, question);
  if (!path.starts_with('/') || path.size() < 2 || path.find('\0') != std::string_view::npos) {
    return fail(ErrorCode::invalid, "serial device " + (path.starts_with('/') ? quoted(path) : shown(path)) +
                                        R"(: an absolute path is allowed, with three slashes: "rtu:///dev/ttyUSB0")");
  }
  into.transport = ModbusTransport::rtu;
  into.path = path;
  into.baud = 9600;
  into.parity = 'N';
  into.data_bits = 8;
  into.stop_bits = 1;
  if (question == std::string_view::npos) return {};
  for (const auto setting : split(rest.substr(question + 1), '&')) {
    const auto equals = setting.find('=');
    if (equals == std::string_view::npos) {
      return fail(ErrorCode::invalid, "serial setting " + quoted(setting) + ": key=value is allowed, as in baud=19200");
    }
    if (auto set = parse_serial_setting(setting.substr(0, equals), setting.substr(equals + 1), into); !set) return set;
  }
  return {};
}

}  // namespace

Result<void> parse_modbus_url(const std::string& url, ModbusBusOptions& into) {
  const std::string_view text = url;
  if (text.starts_with(kTcp)) return parse_tcp(text.substr(kTcp.size()), into);
  if (text.starts_with(kRtu)) return parse_rtu(text.substr(kRtu.size()), into);
  if (text.starts_with("rtu+tcp://")) {
    return fail(ErrorCode::invalid, "Modbus URL " + shown(text) +
                                        ": RTU frames over TCP are not supported yet; let the serial server convert "
                                        "to Modbus TCP and use tcp://, or a serial device and rtu://");
  }
  return fail(ErrorCode::invalid, "Modbus URL " + shown(text) + " is not known: allowed is " + std::string(kExamples));
}

}  // namespace tidegate::drivers
