#pragma once

#include <memory>

#include "core/host_lookup.h"
#include "drivers/driver.h"
#include "drivers/mqtt/options.h"

namespace tidegate::drivers {

/// Client of an existing broker (`[[driver.mqtt]]`, ack = "durable"), on the core thread: a message is acknowledged
/// when the log has made durable what came of it, and one sync acknowledges all that were waiting for it. What waits
/// for that is nowhere but at the broker, which sends it again to the next process.
Result<std::unique_ptr<Driver>> make_mqtt_subscriber(MqttDriverOptions options, DriverContext context,
                                                     LookUpHost look_up = look_up_host);

}  // namespace tidegate::drivers
