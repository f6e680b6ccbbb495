#pragma once

#include <string>
#include <variant>
#include <vector>

#include "daemon/config/config.h"

namespace tidegate::daemon {

/// The settings of one driver, of whatever kind; the configuration that they are of outlives this.
using DriverSettings = std::variant<const drivers::MqttDriverOptions*, const drivers::MqttListenerOptions*,
                                    const drivers::ModbusBusOptions*, const drivers::SimulatorOptions*>;
/// The same of an uplink.
using UplinkSettings = std::variant<const uplink::MqttUplinkOptions*, const uplink::KafkaUplinkOptions*,
                                    const uplink::PostgresqlUplinkOptions*, const uplink::HttpUplinkOptions*,
                                    const uplink::FileUplinkOptions*>;

std::vector<DriverSettings> drivers_of(const Config& config);
std::vector<UplinkSettings> uplinks_of(const Config& config);

/// Which no other driver has, of whatever kind.
const std::string& name_of(const DriverSettings& driver);
const std::string& name_of(const UplinkSettings& uplink);

/// "driver.mqtt".
const char* section_of(const DriverSettings& driver);
const char* section_of(const UplinkSettings& uplink);

/// Of the same kind, with settings that mean the same.
bool is_same(const DriverSettings& one, const DriverSettings& other);
bool is_same(const UplinkSettings& one, const UplinkSettings& other);

/// Takes a driver or an uplink out of the configuration.
void remove_part(Config& config, const std::string& section, const std::string& name);

/// What the files say of it; null where it has no section, as [buffer] may.
const SectionSettings* find_settings(const Config& config, const std::string& section, const std::string& name);

}  // namespace tidegate::daemon
