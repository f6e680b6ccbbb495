#pragma once

#include <chrono>

#include "core/clock.h"
#include "uplink/kafka/kafka_producer.h"
#include "uplink/kafka/kafka_watch.h"

namespace tidegate::uplink {

/// Settles a doubt of KafkaWatch by asking the cluster something. Blocks for half a second, and longer each time that
/// there is no answer, up to four seconds, because some ways are long.
class KafkaProbe {
 public:
  void ask(KafkaProducer& producer, KafkaWatch& watch, const Clock& clock);

 private:
  static constexpr Duration kPatience = std::chrono::milliseconds(500);
  Duration patience_ = kPatience;
};

}  // namespace tidegate::uplink
