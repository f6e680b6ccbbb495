#pragma once

#include "daemon/config/schema.h"
#include "daemon/config/scope.h"
#include "uplink/options.h"

namespace tidegate::daemon {

/// The table `sasl` of a Kafka uplink.
Section kafka_sasl_keys();
/// What is to be said of it as a whole; without one there is no login.
void finish_kafka_login(uplink::KafkaUplinkOptions& uplink, const Scope& scope);

}  // namespace tidegate::daemon
