#pragma once

#include "daemon/config/schema.h"

namespace tidegate::daemon {

// The parts of the table of keys.
Section gateway_keys();
Section buffer_keys();
Section driver_keys();
Section mqtt_driver_keys();
Section mqtt_listener_keys();
Section modbus_driver_keys();
Section simulator_keys();
Section rule_keys();
Section kafka_uplink_keys();
Section postgresql_uplink_keys();
Section uplink_keys();
Section mqtt_uplink_keys();
Section http_uplink_keys();

}  // namespace tidegate::daemon
