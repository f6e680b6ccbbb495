#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "core/error.h"
#include "core/spare_room.h"
#include "uplink/avro/avro_records.h"
#include "uplink/forwarder.h"
#include "uplink/json_text.h"
#include "uplink/kafka/kafka_producer.h"
#include "uplink/ndjson_lines.h"

namespace tidegate::uplink {

/// Makes of a batch a message a record, each with its key. It uses its memory again: one thread.
class KafkaMessages {
 public:
  /// Their values are JSON, or with ids Avro.
  KafkaMessages(std::string gateway, std::string key_template, const std::optional<AvroSchemaIds>& ids = std::nullopt);

  /// Visits the messages in the order of the records, until `visit` returns false. Error `give_up_item` when the batch
  /// is none, or a record has no key.
  using Visit = std::function<bool(const KafkaProducer::Message&)>;
  Result<void> for_each(const OutgoingBatch& batch, const Visit& visit);

 private:
  Result<void> for_each_avro(const OutgoingBatch& batch, const Visit& visit);
  Result<bool> visit_record(Stream stream, std::string_view tag, std::string_view value, const Visit& visit) const;

  const std::string gateway_;
  const std::string key_template_;
  const bool key_has_tag_;
  const bool key_is_tag_;
  const NdjsonLines renderer_;
  const std::unique_ptr<AvroRecords> avro_;
  TextMemberFinder finder_;
  ReusedText lines_;  // of a batch
};

}  // namespace tidegate::uplink
