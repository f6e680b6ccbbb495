#pragma once

#include <string>

#include "daemon/config/scope.h"
#include "uplink/options.h"

namespace tidegate::daemon {

/// "127.0.0.1:1883" of a broker's URI; the names of this machine are one.
std::string broker_place(const std::string& uri);

/// Warns when a driver subscribes to what this uplink publishes, on the same broker: each batch would come in again.
void warn_of_feedback(const uplink::MqttUplinkOptions& uplink, const Scope& scope);

}  // namespace tidegate::daemon
