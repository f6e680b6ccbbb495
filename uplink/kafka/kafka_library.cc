#include "uplink/kafka/kafka_library.h"

#include "core/shared_library.h"
#include "mqtt/tls_floor.h"

namespace tidegate::uplink {

Result<KafkaLibrary> KafkaLibrary::load() {
  mqtt::raise_tls_floor();
  const auto library = SharedLibrary::load("librdkafka.so.1", "librdkafka1");
  if (!library) return tl::unexpected(library.error());
  KafkaLibrary functions;
#define TIDEGATE_KAFKA_FIND(name) \
  if (auto found = library->find("rd_kafka_" #name, functions.name##_); !found) return tl::unexpected(found.error());
  TIDEGATE_KAFKA_FUNCTIONS(TIDEGATE_KAFKA_FIND)
#undef TIDEGATE_KAFKA_FIND
  return functions;
}

}  // namespace tidegate::uplink
