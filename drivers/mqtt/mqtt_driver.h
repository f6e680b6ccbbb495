#pragma once

#include <memory>

#include "drivers/driver.h"
#include "drivers/mqtt/options.h"

namespace tidegate::drivers {

/// Client of an existing broker (`[[driver.mqtt]]`, ack = "written"). The message callback puts topic and payload into
/// a queue in a shared-memory file under the runtime directory and returns; PUBACK leaves then, and the message
/// survives SIGKILL. collect() decodes on the core thread. A full queue makes the callback wait, which holds back
/// the broker.
Result<std::unique_ptr<Driver>> make_mqtt_driver(MqttDriverOptions options, DriverContext context);

/// What is wrong with a JSON pointer (RFC 6901), in words; for `tidegate check`.
Result<void> check_json_pointer(const std::string& pointer);

}  // namespace tidegate::drivers
