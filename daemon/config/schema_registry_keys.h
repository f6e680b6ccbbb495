#pragma once

#include "daemon/config/schema.h"
#include "daemon/config/scope.h"
#include "uplink/options.h"

namespace tidegate::daemon {

/// The table `schema_registry` of a Kafka uplink.
Section schema_registry_keys();

/// Whether `format` and the table go together, and what the table says is right. Behind the check of `topic`.
void finish_schema_registry(uplink::KafkaUplinkOptions& uplink, const Scope& scope);

}  // namespace tidegate::daemon
