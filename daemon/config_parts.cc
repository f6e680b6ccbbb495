#include "daemon/config_parts.h"

#include <algorithm>
#include <iterator>

namespace tidegate::daemon {
namespace {

template <class Part, class Options>
void append(std::vector<Part>& parts, const std::vector<Options>& of_kind) {
  std::transform(of_kind.begin(), of_kind.end(), std::back_inserter(parts),
                 [](const Options& options) { return Part(&options); });
}

// As configuration files call the kinds, in the order of the variants.
constexpr const char* kDriverSections[] = {"driver.mqtt", "driver.mqtt_listener", "driver.modbus", "driver.simulator"};
constexpr const char* kUplinkSections[] = {"uplink.mqtt", "uplink.kafka", "uplink.postgresql", "uplink.http",
                                           "uplink.file"};
static_assert(std::size(kDriverSections) == std::variant_size_v<DriverSettings>);
static_assert(std::size(kUplinkSections) == std::variant_size_v<UplinkSettings>);

template <class Options>
const std::string& own_name(const Options& options) {
  if constexpr (requires { options.forwarder; }) {
    return options.forwarder.name;
  } else {
    return options.name;
  }
}

template <class Part>
bool are_same(const Part& one, const Part& other) {
  if (one.index() != other.index()) return false;
  return std::visit([&other](const auto* options) { return *options == *std::get<decltype(options)>(other); }, one);
}

}  // namespace

std::vector<DriverSettings> drivers_of(const Config& config) {
  std::vector<DriverSettings> parts;
  append(parts, config.mqtt_drivers);
  append(parts, config.mqtt_listeners);
  append(parts, config.modbus_buses);
  append(parts, config.simulators);
  return parts;
}

std::vector<UplinkSettings> uplinks_of(const Config& config) {
  std::vector<UplinkSettings> parts;
  append(parts, config.mqtt_uplinks);
  append(parts, config.kafka_uplinks);
  append(parts, config.postgresql_uplinks);
  append(parts, config.http_uplinks);
  append(parts, config.file_uplinks);
  return parts;
}

const std::string& name_of(const DriverSettings& driver) {
  return std::visit([](const auto* options) -> const std::string& { return own_name(*options); }, driver);
}
const std::string& name_of(const UplinkSettings& uplink) {
  return std::visit([](const auto* options) -> const std::string& { return own_name(*options); }, uplink);
}

const char* section_of(const DriverSettings& driver) { return kDriverSections[driver.index()]; }
const char* section_of(const UplinkSettings& uplink) { return kUplinkSections[uplink.index()]; }

bool is_same(const DriverSettings& one, const DriverSettings& other) { return are_same(one, other); }
bool is_same(const UplinkSettings& one, const UplinkSettings& other) { return are_same(one, other); }

void remove_part(Config& config, const std::string& section, const std::string& name) {
  const auto remove = [&](const char* of, auto& parts) {
    using Options = typename std::decay_t<decltype(parts)>::value_type;
    if (section == of) std::erase_if(parts, [&name](const Options& one) { return own_name(one) == name; });
  };
  remove(kDriverSections[0], config.mqtt_drivers);
  remove(kDriverSections[1], config.mqtt_listeners);
  remove(kDriverSections[2], config.modbus_buses);
  remove(kDriverSections[3], config.simulators);
  remove(kUplinkSections[0], config.mqtt_uplinks);
  remove(kUplinkSections[1], config.kafka_uplinks);
  remove(kUplinkSections[2], config.postgresql_uplinks);
  remove(kUplinkSections[3], config.http_uplinks);
  remove(kUplinkSections[4], config.file_uplinks);
}

const SectionSettings* find_settings(const Config& config, const std::string& section, const std::string& name) {
  const auto found = std::find_if(config.sections.begin(), config.sections.end(), [&](const SectionSettings& one) {
    return one.section == section && one.name == name;
  });
  return found == config.sections.end() ? nullptr : &*found;
}

}  // namespace tidegate::daemon
