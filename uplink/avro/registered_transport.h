#pragma once

#include <array>
#include <functional>
#include <memory>
#include <string>

#include "uplink/avro/avro_schemas.h"
#include "uplink/avro/registry_options.h"
#include "uplink/transport.h"

namespace tidegate::uplink {

/// What a transport that writes Avro needs before it can be made.
struct AvroRegistration {
  SchemaRegistryOptions registry;
  ForwarderOptions forwarder;                      // its name, its streams, and how long pauses are
  std::array<std::string, kStreamCount> subjects;  // of its streams
  std::function<Result<void>()> check;             // whether the transport could be made; at the start
  std::function<std::unique_ptr<Transport>(const AvroSchemaIds& ids, TransportHandlers handlers)> make;
};

/// Is the transport that `make` gives, as soon as a schema registry has said the ids of all its schemas; until then the
/// link is down and says why. They are asked for once a process, by a thread of its own, again and again after pauses
/// that grow. Error of start(): a library is not there.
std::unique_ptr<Transport> make_registered_transport(AvroRegistration registration, TransportHandlers handlers);

}  // namespace tidegate::uplink
