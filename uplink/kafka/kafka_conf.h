#pragma once

#include <cstdint>
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

enum class KafkaIsolation : std::uint8_t { read_uncommitted, read_committed };

/// Of a consumer that tells where a partition ends: the one that reads what is committed ends before the first
/// transaction that is open. Belongs to no group.
Result<rd_kafka_conf_t*> kafka_reader_conf(const KafkaLibrary& library, const KafkaUplinkOptions& options,
                                           const std::string& gateway, KafkaIsolation isolation);

}  // namespace tidegate::uplink
