#include "daemon/config/modbus_checks.h"

#include <map>

#include "core/text.h"
#include "drivers/modbus/register_decoder.h"

namespace tidegate::daemon {
namespace {

using drivers::ByteOrder;
using drivers::ModbusTagOptions;
using drivers::ModbusType;

bool is_bit(const ModbusTagOptions& tag) { return drivers::is_bit_table(tag.address.table); }

void check_bit(const ModbusTagOptions& tag, const Scope& scope) {
  if (!tag.bit) return;
  if (is_bit(tag)) return scope.wrong("bit", "is for registers; a coil or discrete input is a single bit");
  if (tag.type != ModbusType::uint16 && tag.type != ModbusType::int16) {
    scope.wrong("bit", "needs type \"uint16\" or \"int16\", found type " + scope.found("type"));
  }
}

// What only numbers have.
void check_number_keys(const ModbusTagOptions& tag, const Scope& scope) {
  const bool is_number = tag.type != ModbusType::boolean && tag.type != ModbusType::string && !tag.bit && !is_bit(tag);
  for (const char* key : {"scale", "offset", "min", "max", "deadband"}) {
    if (!is_number && scope.has(key)) {
      scope.wrong(key,
                  std::string("is for numbers; this tag is ") + (tag.type == ModbusType::string ? "text" : "a bool"));
    }
  }
  if (tag.scale && *tag.scale == 0.0) scope.wrong("scale", "must not be 0: every value would be the offset");
  if (tag.min && tag.max && *tag.min > *tag.max) {
    scope.wrong("min", "must not be above max, found min " + scope.found("min") + " and max " + scope.found("max"));
  }
}

void check_layout(const ModbusTagOptions& tag, const Scope& scope) {
  if (is_bit(tag) && tag.type != ModbusType::boolean) {
    return scope.wrong("type", "must be \"bool\" for a coil or discrete input, found " + scope.found("type"));
  }
  if (is_bit(tag) && scope.has("order")) return scope.wrong("order", "is for registers");
  if (tag.type == ModbusType::string && (tag.order == ByteOrder::cdab || tag.order == ByteOrder::dcba)) {
    scope.wrong("order", "must be \"ABCD\" or \"BADC\" for a string, found " + scope.found("order"));
  }
  const std::uint32_t count = drivers::register_count(tag);
  const std::uint32_t last = tag.address.address + count - 1U;
  if (last > 65535) {
    scope.wrong("address", "takes " + std::to_string(count) + " registers from " + scope.found("address") +
                               " on, the last at " + std::to_string(last) + "; the last there can be is 65535");
  }
}

void check_writable(const ModbusTagOptions& tag, const Scope& scope) {
  if (!tag.writable || !scope.is_sound("writable") || !scope.is_sound("min") || !scope.is_sound("max")) return;
  if (const auto problem = drivers::find_write_problem(tag)) return scope.wrong(problem->key, problem->message);
  const bool is_number = tag.type != ModbusType::boolean && tag.type != ModbusType::string;
  if (is_number && !tag.min && !tag.max) {
    scope.odd("writable",
              "without min and max lets everything be written that the registers can hold: give the limits that the "
              "device can bear");
  }
}

void check_units(const drivers::ModbusBusOptions& bus, const Scope& scope) {
  std::map<int, std::string> names;
  for (std::size_t i = 0; i < bus.devices.size(); ++i) {
    const auto& device = bus.devices[i];
    const Scope at = scope.item("device", i);
    if (!at.is_sound("unit") || !at.is_sound("name")) continue;
    if (bus.transport == drivers::ModbusTransport::rtu && scope.is_sound("url") &&
        (device.unit < 1 || device.unit > 247)) {
      at.wrong("unit", "must be 1 to 247 on a serial line, found " + std::to_string(device.unit));
    }
    const auto [first, is_new] = names.try_emplace(device.unit, device.name);
    if (!is_new && first->second != device.name) {
      at.odd("unit", "is also that of \"" + clip(first->second) +
                         "\"; when the unit does not answer, each of the two devices waits for it");
    }
  }
}

void claim_tags(const drivers::ModbusBusOptions& bus, const Scope& scope) {
  for (std::size_t d = 0; d < bus.devices.size(); ++d) {
    const auto& device = bus.devices[d];
    const Scope device_scope = scope.item("device", d);
    if (device.name.empty()) continue;
    device_scope.claim("device of " + scope.path(), device.name, "name", "name one of them differently");
    for (std::size_t t = 0; t < device.tags.size(); ++t) {
      if (device.tags[t].name.empty()) continue;
      const Scope tag_scope = device_scope.item("tags", t);
      if (device_scope.is_sound("name")) {
        tag_scope.claim("tag of " + device_scope.path(), device.tags[t].name, "name", "name one of them differently");
      }
      if (tag_scope.is_sound("name")) tag_scope.claim_tag(device.name + "/" + device.tags[t].name, bus.name, "name");
    }
  }
}

}  // namespace

void finish_modbus_tag(ModbusTagOptions& tag, const Scope& scope) {
  for (const char* key : {"address", "type", "bit", "order"}) {
    if (!scope.is_sound(key)) return;
  }
  if (!scope.has("type") && is_bit(tag)) tag.type = ModbusType::boolean;
  check_layout(tag, scope);
  check_bit(tag, scope);
  check_number_keys(tag, scope);
  check_writable(tag, scope);
}

void finish_modbus_bus(drivers::ModbusBusOptions& bus, const Scope& scope) {
  if (bus.backoff_most < bus.timeout && scope.is_sound("timeout") && scope.is_sound("backoff_most")) {
    scope.wrong("backoff_most", "must be at least the timeout, found " + format_duration(bus.backoff_most) +
                                    " and a timeout of " + format_duration(bus.timeout));
  }
  check_units(bus, scope);
  claim_tags(bus, scope);
  const auto is_error = [](const Problem& problem) { return problem.kind == ProblemKind::error; };
  const auto& problems = scope.state().problems;
  if (std::any_of(problems.begin(), problems.end(), is_error)) return;
  // The driver's own word; what it says in general was said above with its place.
  if (const auto good = drivers::check_modbus_bus(bus); !good) scope.wrong("", good.error().message);
}

}  // namespace tidegate::daemon
