// Commissioning: asks devices straight, with the link that the driver has.
#include <array>
#include <iomanip>
#include <iostream>
#include <memory>
#include <optional>

#include "core/clock.h"
#include "core/log.h"
#include "core/text.h"
#include "daemon/commands/commands.h"
#include "daemon/commands/modbus_values.h"
#include "daemon/json_writer.h"
#include "drivers/modbus/libmodbus_link.h"

namespace tidegate::daemon {
namespace {

using drivers::ModbusAddress;
using drivers::ModbusLink;
using drivers::ModbusRequest;
using drivers::ModbusResult;

constexpr std::uint16_t kProbedRegisters = 4;
constexpr std::uint16_t kUnitMost = 255;

int refuse_usage(const Error& error) {
  report_failure(error.message);
  return kExitUsage;
}

struct Line {
  drivers::ModbusBusOptions bus;
  ModbusAddress address;
  std::uint8_t unit = 1;
};

Result<Line> parse_target(const ModbusTarget& target) {
  Line line;
  line.bus.name = "modbus";
  line.bus.retries = 0;
  if (auto parsed = parse_modbus_url(target.url, line.bus); !parsed) return tl::unexpected(parsed.error());
  const auto address = drivers::parse_modbus_address(target.address);
  if (!address) return tl::unexpected(address.error());
  line.address = *address;
  if (target.unit > kUnitMost) {
    return fail(ErrorCode::invalid, "--unit " + std::to_string(target.unit) + ": allowed is 0 to 255");
  }
  line.unit = static_cast<std::uint8_t>(target.unit);
  const auto timeout = parse_duration(target.timeout);
  if (!timeout || *timeout < drivers::kModbusTimeoutLeast || *timeout > drivers::kModbusTimeoutMax) {
    return fail(ErrorCode::invalid, "--timeout \"" + clip(target.timeout) + "\": allowed is \"10ms\" to \"60s\"");
  }
  line.bus.timeout = *timeout;
  return line;
}

Result<std::unique_ptr<ModbusLink>> connect(const Line& line, const Clock& clock) {
  auto link = make_libmodbus_link(line.bus, clock);
  if (!link) return link;
  if (auto connected = (*link)->connect(); !connected) return tl::unexpected(connected.error());
  return link;
}

// Some devices close the connection with every exception they answer, which is seen only at the next request. Error: no
// connection came about.
Result<ModbusResult> ask(ModbusLink& link, const ModbusRequest& request, std::span<std::uint16_t> into) {
  for (const bool is_last : {false, true}) {
    if (!link.is_connected()) {
      if (auto connected = link.connect(); !connected) return tl::unexpected(connected.error());
    }
    const ModbusResult result = link.read(request, into);
    if (is_last || result != ModbusResult::not_connected) return result;
  }
  return ModbusResult::not_connected;
}

std::string place(ModbusAddress at) { return std::string(to_string(at.table)) + ":" + std::to_string(at.address); }

void print_json(const std::string& line) { std::cout << line << '\n'; }

void write_value(JsonWriter& json, const drivers::DecodedValue& decoded) {
  std::string value;
  append_json(value, decoded.value);
  json.key("value").raw(value);
  if (decoded.quality != Quality::good) json.key("reason").value(to_string(decoded.reason));
}

void print_read(const ModbusReadOptions& options, ModbusAddress at, std::span<const std::uint16_t> words,
                const drivers::DecodedValue& decoded) {
  if (!options.target.json) {
    std::cout << place(at) << "  " << show_words(words) << "  " << show_value(decoded) << '\n';
    return;
  }
  std::string text;
  JsonWriter json(text);
  json.begin_object().key("address").value(place(at)).key("words").begin_array();
  for (const std::uint16_t word : words) json.value(std::uint32_t{word});
  json.end_array();
  write_value(json, decoded);
  json.end_object();
  print_json(text);
}

void print_interpretations(const ModbusTarget& target, ModbusAddress at, std::span<const std::uint16_t> words) {
  if (!target.json) std::cout << place(at) << "  " << show_words(words) << '\n';
  for (const Interpretation& one : interpret(words)) {
    if (!target.json) {
      std::cout << std::left << std::setw(9) << one.type << std::setw(6) << one.order << show_value(one.decoded)
                << '\n';
      continue;
    }
    std::string text;
    JsonWriter json(text);
    json.begin_object().key("type").value(one.type).key("order").value(one.order);
    write_value(json, one.decoded);
    json.end_object();
    print_json(text);
  }
}

}  // namespace

int read_modbus(const ModbusReadOptions& options) {
  set_up_logging(LogLevel::warning);
  const auto line = parse_target(options.target);
  if (!line) return refuse_usage(line.error());
  drivers::ModbusTagOptions tag;
  tag.address = line->address;
  if (auto parsed = parse_modbus_type(options.type, tag); !parsed) return refuse_usage(parsed.error());
  const auto order = drivers::parse_byte_order(options.order);
  if (!order) return refuse_usage(order.error());
  tag.order = *order;
  const drivers::ValueFormat format = make_value_format(tag);
  const auto request = request_for(line->unit, line->address, format, options.count);
  if (!request) return refuse_usage(request.error());

  const SystemClock clock;
  auto link = connect(*line, clock);
  if (!link) return report_failure(link.error().message);
  std::vector<std::uint16_t> words(request->count);
  const auto result = ask(**link, *request, words);
  if (!result) return report_failure(result.error().message);
  if (*result != ModbusResult::ok) return report_failure(explain(*result, *request));
  for (std::size_t at = 0; at < words.size(); at += format.count) {
    const auto part = std::span(words).subspan(at, format.count);
    const ModbusAddress address{line->address.table, static_cast<std::uint16_t>(line->address.address + at)};
    print_read(options, address, part, decode_value(format, part));
  }
  return kExitDone;
}

int scan_modbus(const ModbusScanOptions& options) {
  set_up_logging(LogLevel::error);
  const auto line = parse_target(options.target);
  if (!line) return refuse_usage(line.error());
  const auto units = parse_units(options.units);
  if (!units) return refuse_usage(units.error());
  const SystemClock clock;
  auto link = connect(*line, clock);
  if (!link) return report_failure(link.error().message);
  std::size_t answered = 0;
  for (const std::uint8_t unit : *units) {
    const ModbusRequest request{unit, line->address.table, line->address.address, 1};
    std::array<std::uint16_t, 1> word{};
    const auto result = ask(**link, request, word);
    if (!result) return report_failure("unit " + std::to_string(unit) + " was not asked: " + result.error().message);
    // What is damaged may be two devices of one id, or the wrong parity.
    if (!is_answer(*result) && *result != ModbusResult::bad_reply) continue;
    ++answered;
    const std::string what = *result == ModbusResult::ok ? show_words(word) : to_string(*result);
    std::cout << "unit " << unsigned{unit} << "  " << place(line->address) << "  " << what << std::endl;
  }
  if (answered > 0) return kExitDone;
  return report_failure("none of " + std::to_string(units->size()) +
                        " units answers; check wiring, baud rate and parity, or set a longer --timeout");
}

int probe_modbus(const ModbusTarget& target) {
  set_up_logging(LogLevel::warning);
  const auto line = parse_target(target);
  if (!line) return refuse_usage(line.error());
  if (drivers::is_bit_table(line->address.table)) {
    return refuse_usage(
        {ErrorCode::invalid, "--address " + place(line->address) +
                                 ": a bit has one meaning, which read shows; probe takes holding and input"});
  }
  const SystemClock clock;
  auto link = connect(*line, clock);
  if (!link) return report_failure(link.error().message);
  std::array<std::uint16_t, kProbedRegisters> words{};
  ModbusRequest request{line->unit, line->address.table, line->address.address, kProbedRegisters};
  // Fewer where the table ends, and where a device hands out what it knows only as a whole.
  Result<ModbusResult> result = ModbusResult::illegal_address;
  for (const std::uint16_t count : {kProbedRegisters, std::uint16_t{2}, std::uint16_t{1}}) {
    if (line->address.address + count > 65536) continue;
    request.count = count;
    result = ask(**link, request, std::span(words).first(count));
    if (!result) return report_failure(result.error().message);
    if (*result != ModbusResult::illegal_address && *result != ModbusResult::illegal_value) break;
  }
  if (*result != ModbusResult::ok) return report_failure(explain(*result, request));
  print_interpretations(target, line->address, std::span(words).first(request.count));
  return kExitDone;
}

}  // namespace tidegate::daemon
