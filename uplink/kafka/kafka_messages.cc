#include "uplink/kafka/kafka_messages.h"

#include <string_view>
#include <utility>

#include "uplink/json_text.h"
#include "uplink/kafka/kafka_names.h"

namespace tidegate::uplink {

KafkaMessages::KafkaMessages(std::string gateway, std::string key_template)
    : gateway_(std::move(gateway)),
      key_template_(std::move(key_template)),
      key_has_tag_(key_template_.find("{tag}") != std::string::npos),
      key_is_tag_(key_template_ == "{tag}"),
      renderer_(gateway_) {}

Result<void> KafkaMessages::for_each(const OutgoingBatch& batch,
                                     const std::function<bool(const KafkaProducer::Message&)>& visit) {
  lines_.clear();
  if (const auto sent = renderer_.append(lines_, batch); !sent) return tl::unexpected(sent.error());
  for (std::string_view rest = lines_; !rest.empty();) {
    const std::size_t end = rest.find('\n');
    const std::string_view record = rest.substr(0, end);
    rest.remove_prefix(end + 1);
    const auto tag = key_has_tag_ ? finder_.find(record, "tag") : std::nullopt;
    if (key_is_tag_ && tag && !tag->empty()) {  // nearly every record
      if (!visit({batch.stream, *tag, record})) return {};
      continue;
    }
    const auto key = kafka_key(key_template_, gateway_, tag.value_or(""));
    if (!key) return tl::unexpected(key.error());
    if (!visit({batch.stream, *key, record})) return {};
  }
  return {};
}

}  // namespace tidegate::uplink
