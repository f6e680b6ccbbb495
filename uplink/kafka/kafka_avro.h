#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "uplink/avro/avro_schemas.h"
#include "uplink/options.h"
#include "uplink/transport.h"

namespace tidegate::uplink {

/// The transport that `make` gives for an uplink with a schema registry, once the ids of its schemas are known.
std::unique_ptr<Transport> make_kafka_avro_transport(
    const KafkaUplinkOptions& options, const std::string& gateway,
    std::function<std::unique_ptr<Transport>(const std::optional<AvroSchemaIds>& ids, TransportHandlers handlers)> make,
    TransportHandlers handlers);

/// Under what the registry of the uplink has the schema of a stream. Error `invalid` as of kafka_topic, or the subject
/// has a placeholder that is not known. The uplink has one.
Result<std::string> kafka_schema_subject(const KafkaUplinkOptions& options, const std::string& gateway, Stream stream);

}  // namespace tidegate::uplink
