#include "drivers/modbus/options.h"

#include <set>
#include <string_view>

#include "core/parse_whole.h"
#include "core/text.h"
#include "drivers/modbus/modbus_link.h"
#include "drivers/modbus/register_decoder.h"
#include "drivers/modbus/value_encoder.h"

namespace tidegate::drivers {
namespace {

constexpr std::string_view kAddressForms =
    R"(allowed are "holding:100", "input:8", "coil:3", "discrete:0" with a protocol address from 0 to 65535, and reference numbers of 5 or 6 digits such as "40011")";

struct TableName {
  std::string_view name;
  ModbusTable table;
};
constexpr TableName kTables[] = {{"coil", ModbusTable::coil},
                                 {"discrete", ModbusTable::discrete},
                                 {"input", ModbusTable::input},
                                 {"holding", ModbusTable::holding}};

struct TypeName {
  std::string_view name;
  ModbusType type;
};
constexpr TypeName kTypes[] = {
    {"bool", ModbusType::boolean},  {"int16", ModbusType::int16},     {"uint16", ModbusType::uint16},
    {"int32", ModbusType::int32},   {"uint32", ModbusType::uint32},   {"int64", ModbusType::int64},
    {"uint64", ModbusType::uint64}, {"float32", ModbusType::float32}, {"float64", ModbusType::float64},
    {"bcd16", ModbusType::bcd16},   {"bcd32", ModbusType::bcd32},
};

constexpr std::uint16_t kStringBytesMax = 250;  // 125 registers, the most of one request

bool all_digits(std::string_view text) {
  for (const char c : text) {
    if (c < '0' || c > '9') return false;
  }
  return !text.empty();
}

// Digits only, at most `most`.
std::optional<std::uint32_t> parse_digits(std::string_view text, std::uint32_t most) {
  if (!all_digits(text)) return std::nullopt;
  const auto number = parse_whole<std::uint32_t>(text);
  return number && *number <= most ? number : std::nullopt;
}

Result<ModbusAddress> refuse_address(std::string_view text, std::string_view why) {
  return fail(ErrorCode::invalid,
              "Modbus address \"" + clip(text) + "\" " + std::string(why) + "; " + std::string(kAddressForms));
}

// The first digit is the table, the others count from 1.
Result<ModbusAddress> parse_reference(std::string_view text) {
  ModbusAddress address;
  switch (text.front()) {
    case '0':
      address.table = ModbusTable::coil;
      break;
    case '1':
      address.table = ModbusTable::discrete;
      break;
    case '3':
      address.table = ModbusTable::input;
      break;
    case '4':
      address.table = ModbusTable::holding;
      break;
    default:
      return refuse_address(text, "begins with neither 0 (coil), 1 (discrete), 3 (input) nor 4 (holding)");
  }
  const auto number = parse_digits(text.substr(1), 65536);
  if (!number || *number == 0) {
    return refuse_address(text,
                          "is out of range: behind the first digit the numbers go from 1 to 9999, or with 6 "
                          "digits from 1 to 65536");
  }
  address.address = static_cast<std::uint16_t>(*number - 1);
  return address;
}

bool is_number(ModbusType type) { return type != ModbusType::boolean && type != ModbusType::string; }

Result<void> refuse_tag(const ModbusTagOptions& tag, const std::string& why) {
  return fail(ErrorCode::invalid, "Modbus tag \"" + clip(tag.name) + "\": " + why);
}

Result<void> check_bit(const ModbusTagOptions& tag) {
  if (!tag.bit) return {};
  if (is_bit_table(tag.address.table)) return refuse_tag(tag, "bit is for registers; a coil or discrete input is one");
  if (*tag.bit > 15) return refuse_tag(tag, "bit is " + std::to_string(*tag.bit) + "; 0 to 15 is allowed");
  if (tag.type != ModbusType::uint16 && tag.type != ModbusType::int16 && tag.type != ModbusType::boolean) {
    return refuse_tag(tag, "bit needs type uint16, int16 or bool");
  }
  return {};
}

Result<void> check_tag(const ModbusTagOptions& tag) {
  const ValueFormat format = make_value_format(tag);
  const bool number = is_number(format.type) && !tag.bit;
  if (is_bit_table(tag.address.table) && tag.type != ModbusType::boolean && tag.type != ModbusType::uint16) {
    return refuse_tag(tag, "a coil or discrete input is of type bool");
  }
  if (auto bit = check_bit(tag); !bit) return bit;
  if (!number && (tag.scale || tag.offset || tag.min || tag.max || tag.deadband)) {
    return refuse_tag(tag, "scale, offset, min, max and deadband are for numbers, not for bool or string");
  }
  if (tag.min && tag.max && *tag.min > *tag.max) return refuse_tag(tag, "min is above max");
  if (tag.scale && *tag.scale == 0.0) return refuse_tag(tag, "scale is 0; every value would be the same");
  if (tag.interval && *tag.interval < kModbusIntervalLeast) return refuse_tag(tag, "interval is under 1ms");
  if (format.type == ModbusType::string) {
    if (tag.string_bytes < 1 || tag.string_bytes > kStringBytesMax) {
      return refuse_tag(tag, "a string has 1 to 250 bytes, as in string(8)");
    }
    if (tag.order == ByteOrder::cdab || tag.order == ByteOrder::dcba) {
      return refuse_tag(tag, "the registers of a string are in order; ABCD and BADC are allowed");
    }
  }
  if (std::uint32_t{tag.address.address} + format.count > 65536) {
    return refuse_tag(tag, "its last register lies behind 65535");
  }
  if (const auto problem = find_write_problem(tag)) {
    return refuse_tag(tag, std::string(problem->key) + " " + problem->message);
  }
  return {};
}

std::string shown(double number) {
  std::string text;
  append_number(text, number);
  return text;
}

std::optional<ModbusKeyProblem> find_limit_problem(const ModbusTagOptions& tag) {
  const ValueRange range = range_of(make_value_format(tag));
  const std::pair<const char*, std::optional<double>> limits[] = {{"min", tag.min}, {"max", tag.max}};
  for (const auto& [key, limit] : limits) {
    if (!limit || (*limit >= range.least && *limit <= range.most)) continue;
    return ModbusKeyProblem{key, "must be what the registers of a writable tag can hold, " + shown(range.least) +
                                     " to " + shown(range.most) + ", found " + shown(*limit)};
  }
  return std::nullopt;
}

Result<void> check_device(const ModbusDeviceOptions& device, ModbusTransport transport) {
  const std::string who = "Modbus device \"" + clip(device.name) + "\": ";
  if (transport == ModbusTransport::rtu && (device.unit < 1 || device.unit > 247)) {
    return fail(ErrorCode::invalid,
                who + "unit is " + std::to_string(device.unit) + "; on a serial line 1 to 247 is allowed");
  }
  if (device.interval < kModbusIntervalLeast) return fail(ErrorCode::invalid, who + "interval is under 1ms");
  std::set<std::string_view> names;
  for (const auto& tag : device.tags) {
    if (!names.insert(tag.name).second) {
      return fail(ErrorCode::invalid, who + "two tags are named \"" + clip(tag.name) + "\"");
    }
    if (auto path = check_tag_path(device.name + "/" + tag.name); !path) return path;
    if (auto checked = check_tag(tag); !checked) {
      return fail(ErrorCode::invalid, who + checked.error().message);
    }
  }
  return {};
}

}  // namespace

std::optional<ModbusKeyProblem> find_write_problem(const ModbusTagOptions& tag) {
  if (!tag.writable) return std::nullopt;
  if (tag.address.table != ModbusTable::holding && tag.address.table != ModbusTable::coil) {
    return ModbusKeyProblem{"writable",
                            std::string("is for holding registers and coils; no ") + to_string(tag.address.table) +
                                (is_bit_table(tag.address.table) ? " input" : " register") + " can be written"};
  }
  if (tag.bit) {
    return ModbusKeyProblem{"writable",
                            "is not for one bit of a register, since a write would set the other fifteen too: make the "
                            "whole register a tag, or use a coil"};
  }
  const ValueFormat format = make_value_format(tag);
  if (format.count > kRegistersWrittenMax) {
    return ModbusKeyProblem{"writable", "is for as many registers as one request can write, " +
                                            std::to_string(kRegistersWrittenMax) + ", found " +
                                            std::to_string(format.count)};
  }
  return is_number(format.type) ? find_limit_problem(tag) : std::nullopt;
}

Result<ModbusAddress> parse_modbus_address(const std::string& text) {
  const std::string_view view = text;
  const auto colon = view.find(':');
  if (colon == std::string_view::npos) {
    if (all_digits(view) && (view.size() == 5 || view.size() == 6)) return parse_reference(view);
    return refuse_address(view, "is neither TABLE:ADDRESS nor a reference number");
  }
  for (const auto& [name, table] : kTables) {
    if (view.substr(0, colon) != name) continue;
    const auto number = parse_digits(view.substr(colon + 1), 65535);
    if (!number) return refuse_address(view, "has no protocol address behind the colon");
    return ModbusAddress{table, static_cast<std::uint16_t>(*number)};
  }
  return refuse_address(view, "names a table that does not exist");
}

Result<void> parse_modbus_type(const std::string& text, ModbusTagOptions& into) {
  for (const auto& [name, type] : kTypes) {
    if (text != name) continue;
    into.type = type;
    into.string_bytes = 0;
    return {};
  }
  const std::string_view view = text;
  if (view.starts_with("string(") && view.ends_with(')')) {
    const auto bytes = parse_digits(view.substr(7, view.size() - 8), kStringBytesMax);
    if (bytes && *bytes > 0) {
      into.type = ModbusType::string;
      into.string_bytes = static_cast<std::uint16_t>(*bytes);
      return {};
    }
  }
  return fail(ErrorCode::invalid, "Modbus type \"" + clip(view) +
                                      "\" is not known: bool, int16, uint16, int32, uint32, int64, uint64, float32, "
                                      "float64, bcd16, bcd32 and string(1) to string(250) are allowed");
}

Result<ByteOrder> parse_byte_order(const std::string& text) {
  if (text == "ABCD") return ByteOrder::abcd;
  if (text == "CDAB") return ByteOrder::cdab;
  if (text == "BADC") return ByteOrder::badc;
  if (text == "DCBA") return ByteOrder::dcba;
  return fail(ErrorCode::invalid, "byte order \"" + clip(text) +
                                      "\" is not known: ABCD (most significant first), CDAB (words swapped), BADC "
                                      "(bytes swapped) and DCBA (both) are allowed");
}

Result<void> check_modbus_bus(const ModbusBusOptions& options) {
  const std::string who = "Modbus bus \"" + clip(options.name) + "\": ";
  if (options.timeout < kModbusTimeoutLeast || options.timeout > kModbusTimeoutMax) {
    return fail(ErrorCode::invalid,
                who + "timeout is " + format_duration(options.timeout) + "; 10ms to 60s is allowed");
  }
  if (options.retries < 0 || options.retries > 10) {
    return fail(ErrorCode::invalid, who + "retries is " + std::to_string(options.retries) + "; 0 to 10 is allowed");
  }
  if (options.backoff_most < options.timeout) {
    return fail(ErrorCode::invalid, who + "backoff_most is " + format_duration(options.backoff_most) +
                                        "; at least the timeout, " + format_duration(options.timeout) + ", is allowed");
  }
  std::set<std::string_view> names;
  for (const auto& device : options.devices) {
    if (!names.insert(device.name).second) {
      return fail(ErrorCode::invalid, who + "two devices are named \"" + clip(device.name) + "\"");
    }
    if (auto checked = check_device(device, options.transport); !checked) {
      return fail(ErrorCode::invalid, who + checked.error().message);
    }
  }
  return {};
}

}  // namespace tidegate::drivers
