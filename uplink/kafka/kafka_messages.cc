#include "uplink/kafka/kafka_messages.h"

#include <utility>

#include "uplink/json_text.h"
#include "uplink/kafka/kafka_names.h"

namespace tidegate::uplink {

KafkaMessages::KafkaMessages(std::string gateway, std::string key_template, const std::optional<AvroSchemaIds>& ids)
    : gateway_(std::move(gateway)),
      key_template_(std::move(key_template)),
      key_has_tag_(key_template_.find("{tag}") != std::string::npos),
      key_is_tag_(key_template_ == "{tag}"),
      renderer_(gateway_),
      avro_(ids ? std::make_unique<AvroRecords>(gateway_, *ids) : nullptr) {}

Result<void> KafkaMessages::for_each(const OutgoingBatch& batch, const Visit& visit) {
  if (avro_) return for_each_avro(batch, visit);
  if (const auto sent = renderer_.append(lines_.begin(), batch); !sent) return tl::unexpected(sent.error());
  for (std::string_view rest = lines_.text(); !rest.empty();) {
    const std::size_t end = rest.find('\n');
    const std::string_view record = rest.substr(0, end);
    rest.remove_prefix(end + 1);
    const auto tag = key_has_tag_ ? finder_.find(record, "tag") : std::nullopt;
    const auto goes_on = visit_record(batch.stream, tag.value_or(""), record, visit);
    if (!goes_on) return tl::unexpected(goes_on.error());
    if (!*goes_on) return {};
  }
  return {};
}

Result<void> KafkaMessages::for_each_avro(const OutgoingBatch& batch, const Visit& visit) {
  Result<void> keys;
  const auto made = avro_->for_each(batch, [&](std::string_view tag, std::string_view message) {
    const auto goes_on = visit_record(batch.stream, tag, message, visit);
    if (!goes_on) keys = tl::unexpected(goes_on.error());
    return goes_on && *goes_on;
  });
  return made ? keys : made;
}

Result<bool> KafkaMessages::visit_record(Stream stream, std::string_view tag, std::string_view value,
                                         const Visit& visit) const {
  if (key_is_tag_ && !tag.empty()) return visit({stream, tag, value});  // nearly every record
  const auto key = kafka_key(key_template_, gateway_, tag);
  if (!key) return tl::unexpected(key.error());
  return visit({stream, *key, value});
}

}  // namespace tidegate::uplink
