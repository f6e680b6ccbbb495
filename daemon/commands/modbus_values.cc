#include "daemon/commands/modbus_values.h"

#include <algorithm>
#include <array>
#include <cstdio>
#include <optional>
#include <string_view>

#include "core/parse_whole.h"
#include "core/text.h"

namespace tidegate::daemon {
namespace {

using drivers::ByteOrder;
using drivers::ModbusResult;

constexpr std::array<const char*, 10> kNumbers{"int16", "uint16",  "bcd16", "int32",  "uint32",
                                               "bcd32", "float32", "int64", "uint64", "float64"};
constexpr std::array<const char*, 4> kOrders{"ABCD", "CDAB", "BADC", "DCBA"};
constexpr std::uint32_t kAddresses = 65536;
constexpr std::size_t kShownMost = 2000;  // more than the longest text of a tag

// Of one register the order of words says nothing.
bool differs(const std::string& order, std::uint16_t registers) {
  return registers > 1 || order == "ABCD" || order == "BADC";
}

std::optional<std::pair<std::uint8_t, std::uint8_t>> parse_range(std::string_view text) {
  const auto dash = text.find('-');
  const auto first = parse_whole<std::uint8_t>(text.substr(0, dash));
  const auto last = dash == std::string_view::npos ? first : parse_whole<std::uint8_t>(text.substr(dash + 1));
  if (!first || !last || *first > *last) return std::nullopt;
  return std::pair(*first, *last);
}

}  // namespace

std::vector<Interpretation> interpret(std::span<const std::uint16_t> words) {
  std::vector<Interpretation> all;
  for (const char* const type : kNumbers) {
    drivers::ModbusTagOptions tag;
    if (!drivers::parse_modbus_type(type, tag)) continue;
    const std::uint16_t registers = drivers::register_count(tag);
    if (registers > words.size()) continue;
    for (const char* const order : kOrders) {
      if (!differs(order, registers)) continue;
      tag.order = drivers::parse_byte_order(order).value_or(ByteOrder::abcd);
      all.push_back({type, order, decode_value(drivers::make_value_format(tag), words.first(registers))});
    }
  }
  return all;
}

std::string show_value(const drivers::DecodedValue& decoded) {
  if (std::holds_alternative<std::monostate>(decoded.value)) {
    return "no value (" + std::string(to_string(decoded.reason)) + ")";
  }
  std::string text;
  append_json(text, decoded.value);
  return clip(text, kShownMost);
}

std::string show_words(std::span<const std::uint16_t> words) {
  std::string text;
  for (const std::uint16_t word : words) {
    std::array<char, 8> hex{};
    std::snprintf(hex.data(), hex.size(), "0x%04x", word);
    text += (text.empty() ? "" : " ") + std::string(hex.data());
  }
  return text;
}

Result<std::vector<std::uint8_t>> parse_units(const std::string& text) {
  std::vector<std::uint8_t> units;
  for (const auto part : split(text, ',')) {
    const auto range = parse_range(part);
    if (!range) {
      return fail(ErrorCode::invalid,
                  "--units \"" + clip(text) + "\": allowed are unit ids from 0 to 255 and ranges, such as 1,2,5-9");
    }
    for (unsigned unit = range->first; unit <= range->second; ++unit) {
      const auto id = static_cast<std::uint8_t>(unit);
      if (std::find(units.begin(), units.end(), id) == units.end()) units.push_back(id);
    }
  }
  return units;
}

Result<drivers::ModbusRequest> request_for(std::uint8_t unit, drivers::ModbusAddress at,
                                           const drivers::ValueFormat& format, std::uint32_t values) {
  const bool is_bits = drivers::is_bit_table(at.table);
  const std::uint32_t most = (is_bits ? drivers::kBitsMax : drivers::kRegistersMax) / format.count;
  if (values < 1 || values > most) {
    return fail(ErrorCode::invalid, "--count " + std::to_string(values) + ": one request takes 1 to " +
                                        std::to_string(most) + " values of this type");
  }
  const std::uint32_t count = values * format.count;
  if (at.address + count > kAddresses) {
    return fail(ErrorCode::invalid, std::string("--address ") + to_string(at.table) + ":" + std::to_string(at.address) +
                                        " with " + std::to_string(count) + (is_bits ? " bits" : " registers") +
                                        " goes beyond the last address, 65535");
  }
  return drivers::ModbusRequest{unit, at.table, at.address, static_cast<std::uint16_t>(count)};
}

std::string explain(ModbusResult result, const drivers::ModbusRequest& request) {
  const std::string what = describe(request) + ": ";
  switch (result) {
    case ModbusResult::ok:
      return what + "answered";
    case ModbusResult::illegal_function:
      return what + "the device has no such table (illegal function); try coil, discrete, input or holding";
    case ModbusResult::illegal_address:
      return what +
             "the device has no such address (illegal address); look whether its manual counts from 1, or read fewer";
    case ModbusResult::illegal_value:
      return what + "the device refuses the request (illegal value); read fewer at once";
    case ModbusResult::device_failure:
      return what + "the device reports a failure of its own";
    case ModbusResult::device_busy:
      return what + "the device is busy; try again";
    case ModbusResult::gateway_failure:
      return what +
             "a gateway on the way has no answer from the device; check unit id, wiring and the gateway's timeout";
    case ModbusResult::timeout:
      return what + "no answer in time; check unit id, wiring, baud rate and parity, or set a longer --timeout";
    case ModbusResult::bad_reply:
      return what +
             "the answer is damaged or belongs to another request; check baud rate and parity, and that nobody "
             "else asks on this line";
    case ModbusResult::not_connected:
      return what + "the connection was lost; check whether the device takes another one";
    case ModbusResult::interrupted:
      return what + "interrupted";
  }
  return what;
}

}  // namespace tidegate::daemon
