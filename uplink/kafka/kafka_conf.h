#pragma once

#include <string>

#include "core/error.h"
#include "uplink/kafka/kafka_library.h"
#include "uplink/options.h"

namespace tidegate::uplink {

/// The library's configuration of a producer that keeps the order, writes nothing twice by its own repeats, gives up no
/// message by itself and holds no more than the uplink has in flight. The caller owns what it gets until it has handed
/// it to rd_kafka_new.
Result<rd_kafka_conf_t*> kafka_producer_conf(const KafkaLibrary& library, const KafkaUplinkOptions& options,
                                             const std::string& gateway);

/// Of a consumer that reads what is committed and tells where a partition ends. Belongs to no group.
Result<rd_kafka_conf_t*> kafka_reader_conf(const KafkaLibrary& library, const KafkaUplinkOptions& options,
                                           const std::string& gateway);

}  // namespace tidegate::uplink
