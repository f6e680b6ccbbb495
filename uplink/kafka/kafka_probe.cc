#include "uplink/kafka/kafka_probe.h"

#include <algorithm>
#include <string>

#include "uplink/kafka/kafka_troubles.h"

namespace tidegate::uplink {
namespace {

constexpr Duration kPatienceMost = std::chrono::seconds(4);

// What is said while a topic is being made, or its leader changes.
bool is_passing(rd_kafka_resp_err_t error) {
  return error == RD_KAFKA_RESP_ERR_LEADER_NOT_AVAILABLE || error == RD_KAFKA_RESP_ERR_REPLICA_NOT_AVAILABLE;
}

}  // namespace

void KafkaProbe::ask(KafkaProducer& producer, KafkaWatch& watch, const Clock& clock) {
  const auto found = producer.probe(patience_);
  producer.serve();  // has what went wrong, in words
  const BootTime now = clock.boot_now();
  patience_ = std::min(patience_ * 2, kPatienceMost);
  if (found.error != RD_KAFKA_RESP_ERR_NO_ERROR) {
    return watch.on_no_answer(now, found.error, producer.text_of(found.error));
  }
  patience_ = kPatience;
  std::string trouble;
  if (!found.topics.empty()) {
    const auto& [topic, error] = found.topics.front();
    if (!is_passing(error)) trouble = describe_kafka_refusal(error, producer.text_of(error), topic);
  }
  watch.on_answer(now, trouble);
}

}  // namespace tidegate::uplink
