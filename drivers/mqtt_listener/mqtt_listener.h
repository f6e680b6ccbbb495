#pragma once

#include <memory>

#include "drivers/driver.h"
#include "drivers/mqtt_listener/options.h"

namespace tidegate::drivers {

/// Sensors publish straight to the gateway (`[[driver.mqtt_listener]]`): MQTT 3.1.1 and 5 on Boost.Asio, on the core
/// thread. PUBACK and PUBREC leave when the log has the message as `ack` says; one sync releases those of all
/// connections. It is an ingest endpoint and no broker: all that can be subscribed to are the latest values and alarms
/// of the gateway itself, by those who may watch them.
Result<std::unique_ptr<Driver>> make_mqtt_listener(MqttListenerOptions options, DriverContext context);

/// Whether its address and port can be had now; nobody is taken in. The error says why not.
Result<void> try_listening(const MqttListenerOptions& options);

/// What is wrong with the content of a password file, in words; for `tidegate check`.
Result<void> check_user_list(const std::string& content);

}  // namespace tidegate::drivers
