#include <algorithm>

#include "core/tag.h"
#include "core/text.h"
#include "daemon/config/keys.h"
#include "daemon/config/modbus_checks.h"
#include "daemon/config/rows.h"
#include "daemon/config/scope.h"
#include "daemon/config/values.h"

namespace tidegate::daemon {
namespace {

using namespace std::chrono_literals;
using drivers::ModbusBusOptions;
using drivers::ModbusDeviceOptions;
using drivers::ModbusTagOptions;

Result<void> store_address(const std::string& text, ModbusTagOptions& tag) {
  const auto address = drivers::parse_modbus_address(text);
  if (!address) return tl::unexpected(address.error());
  tag.address = *address;
  return {};
}

Result<void> store_order(const std::string& text, ModbusTagOptions& tag) {
  const auto order = drivers::parse_byte_order(text);
  if (!order) return tl::unexpected(order.error());
  tag.order = *order;
  return {};
}

std::vector<Key> place_rows() {
  using namespace rows;
  using Owner = ModbusTagOptions;
  return {
      checked<Owner>("name", &Owner::name, check_tag_path)
          .required()
          .must_be("a tag name without + # * ?")
          .example("\"temp\"")
          .says("The tag; its path is `DEVICE/NAME`."),
      parsed<Owner>("address", store_address)
          .required()
          .must_be("\"holding:N\", \"input:N\", \"coil:N\", \"discrete:N\" or a reference number such as \"40011\"")
          .example("\"holding:100\"")
          .says("Table and 0-based protocol address, or a reference number of 5 or 6 digits, which counts from 1."),
      parsed<Owner>("type", drivers::parse_modbus_type)
          .must_be(
              "one of bool, int16, uint16, int32, uint32, int64, uint64, float32, float64, bcd16, bcd32, string(N)")
          .by_default_is("`bool` for coils and discrete inputs, `uint16` for registers")
          .example("\"uint16\"")
          .says("What the registers hold. `string(N)` is N bytes, two a register."),
      parsed<Owner>("order", store_order)
          .must_be("one of ABCD, CDAB, BADC, DCBA")
          .by_default("ABCD")
          .says("How the bytes lie in the registers: `ABCD` most significant first, `CDAB` words swapped, `BADC` bytes "
                "swapped, `DCBA` both."),
      integer<Owner>("bit", &Owner::bit, 0, 15)
          .example("4")
          .says("One bit of a register, 0 the least significant, as a bool."),
  };
}

std::vector<Key> value_rows() {
  using namespace rows;
  using Owner = ModbusTagOptions;
  constexpr double kAny = 1.7e308;
  return {
      number<Owner>("scale", &Owner::scale, -kAny, kAny)
          .example("0.1")
          .says("The value is `raw * scale + offset`, reckoned in decimals where raw is a whole number: 12 with a "
                "scale of 0.1 "
                "is 1.2, not 1.2000000000000002."),
      number<Owner>("offset", &Owner::offset, -kAny, kAny).example("-40").says("See `scale`."),
      number<Owner>("min", &Owner::min, -kAny, kAny)
          .example("-50")
          .says("A value under it has quality `bad`, reason `out-of-range`. None under it is written."),
      number<Owner>("max", &Owner::max, -kAny, kAny)
          .example("150")
          .says("A value above it has quality `bad`, reason `out-of-range`. None above it is written."),
      number<Owner>("deadband", &Owner::deadband, 0, kAny)
          .example("0.5")
          .says("Readings that moved less than this are not kept."),
      duration<Owner>("interval", &Owner::interval, drivers::kModbusIntervalLeast, 24h)
          .by_default_is("the device's")
          .example("\"200ms\"")
          .says("How often to read this tag."),
      text<Owner>("unit", &Owner::unit).may_be_empty().example("\"°C\"").says("The unit of the value."),
      boolean<Owner>("writable", &Owner::writable)
          .by_default(false)
          .says("Whether the tag can be written: a holding register or a coil. Who may write it, the uplinks say "
                "(`commands`)."),
  };
}

Section tag_keys() {
  using namespace rows;
  Section section =
      list<ModbusDeviceOptions>("tags", &ModbusDeviceOptions::tags, "What to read, and what may be written.");
  section.needs_one = true;
  section.keys = place_rows();
  for (Key& key : value_rows()) section.keys.push_back(std::move(key));
  section.finish = finish<ModbusTagOptions>(finish_modbus_tag);
  return section;
}

Section device_keys() {
  using namespace rows;
  using Owner = ModbusDeviceOptions;
  Section section = list<ModbusBusOptions>("device", &ModbusBusOptions::devices, "A device on the bus.");
  section.needs_one = true;
  section.keys = {
      checked<Owner>("name", &Owner::name, check_tag_path)
          .required()
          .must_be("a device name without + # * ?")
          .example("\"boiler\"")
          .says("The first part of its tags' paths."),
      integer<Owner>("unit", &Owner::unit, 0, 255).by_default(1).says("Unit id; on a serial line 1 to 247."),
      duration<Owner>("interval", &Owner::interval, drivers::kModbusIntervalLeast, 24h)
          .by_default("1s")
          .says("How often to read its tags."),
      later("profile", "write the profile's tags here"),
  };
  section.sections = {tag_keys()};
  return section;
}

}  // namespace

Section modbus_driver_keys() {
  using namespace rows;
  using Owner = ModbusBusOptions;
  Section section = list<Config>("modbus", &Config::modbus_buses,
                                 "A Modbus bus: one TCP connection or serial line, with the devices behind it.");
  section.keys = {
      driver_name_key<Owner>(),
      parsed<Owner>("url", drivers::parse_modbus_url)
          .required()
          .must_be("\"tcp://HOST[:PORT]\" or \"rtu:///dev/NAME?baud=N&parity=none|even|odd&stop=1|2\"")
          .example("\"tcp://10.0.0.5:502\"")
          .says("Where the bus is."),
      duration<Owner>("timeout", &Owner::timeout, drivers::kModbusTimeoutLeast, drivers::kModbusTimeoutMax)
          .by_default("500ms")
          .says("How long to wait for an answer."),
      integer<Owner>("retries", &Owner::retries, 0, 10)
          .by_default(1)
          .says("How often to ask again when no answer came."),
      integer<Owner>("max_gap", &Owner::max_gap, 0, 120)
          .by_default(8)
          .says("Registers that may be read for nothing to join two reads into one."),
      duration<Owner>("backoff_most", &Owner::backoff_most, 100ms, 1h)
          .by_default("60s")
          .says("The longest pause between two tries of a device that does not answer; the pauses grow."),
  };
  section.sections = {device_keys()};
  section.finish = finish<Owner>(finish_modbus_bus);
  return section;
}

}  // namespace tidegate::daemon
