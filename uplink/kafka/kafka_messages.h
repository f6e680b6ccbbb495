#pragma once

#include <functional>
#include <string>

#include "core/error.h"
#include "uplink/forwarder.h"
#include "uplink/json_text.h"
#include "uplink/kafka/kafka_producer.h"
#include "uplink/ndjson_lines.h"

namespace tidegate::uplink {

/// Makes of a batch a message a record, each with its key.
class KafkaMessages {
 public:
  KafkaMessages(std::string gateway, std::string key_template);

  /// Visits the messages in the order of the records, until `visit` returns false. Error `give_up_item` when the batch
  /// is none, or a record has no key.
  Result<void> for_each(const OutgoingBatch& batch, const std::function<bool(const KafkaProducer::Message&)>& visit);

 private:
  const std::string gateway_;
  const std::string key_template_;
  const bool key_has_tag_;
  const bool key_is_tag_;
  const NdjsonLines renderer_;
  TextMemberFinder finder_;
  std::string lines_;  // of a batch; reused
};

}  // namespace tidegate::uplink
