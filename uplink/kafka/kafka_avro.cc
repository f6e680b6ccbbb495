#include "uplink/kafka/kafka_avro.h"

#include <utility>

#include "uplink/avro/registered_transport.h"
#include "uplink/avro/schema_subjects.h"
#include "uplink/kafka/kafka_library.h"
#include "uplink/kafka/kafka_names.h"

namespace tidegate::uplink {

std::unique_ptr<Transport> make_kafka_avro_transport(
    const KafkaUplinkOptions& options, const std::string& gateway,
    std::function<std::unique_ptr<Transport>(const std::optional<AvroSchemaIds>& ids, TransportHandlers handlers)> make,
    TransportHandlers handlers) {
  AvroRegistration registration{*options.registry, options.forwarder, {}, {}, std::move(make)};
  Result<void> subjects;
  for (const Stream stream : options.forwarder.streams) {
    auto subject = kafka_schema_subject(options, gateway, stream);
    if (!subject) subjects = tl::unexpected(subject.error());
    if (subject) registration.subjects[static_cast<std::size_t>(stream)] = std::move(*subject);
  }
  registration.check = [subjects]() -> Result<void> {
    if (const auto library = KafkaLibrary::load(); !library) return tl::unexpected(library.error());
    return subjects;
  };
  return make_registered_transport(std::move(registration), std::move(handlers));
}

Result<std::string> kafka_schema_subject(const KafkaUplinkOptions& options, const std::string& gateway, Stream stream) {
  const auto topic = kafka_topic(options.topic, gateway, stream);
  if (!topic) return topic;
  return schema_subject(options.registry->subject, *topic, gateway, stream);
}

}  // namespace tidegate::uplink
