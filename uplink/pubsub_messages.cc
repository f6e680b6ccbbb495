#include "uplink/pubsub_messages.h"

#include <simdjson.h>

#include <optional>
#include <utility>

#include "core/text.h"
#include "mqtt/sha256.h"
#include "uplink/batch_labels.h"
#include "uplink/byte_text.h"

namespace tidegate::uplink {
namespace {

namespace dom = simdjson::dom;

constexpr std::size_t kKeyBytesMost = 1024;

std::string attributes(const std::string& gateway, const OutgoingBatch& batch) {
  std::string text;
  for (const auto& [name, value] : batch_labels(gateway, batch)) {
    text.append(text.empty() ? ",\"attributes\":{\"" : ",\"").append(name).append("\":");
    append_json_string(text, value);
  }
  return text + '}';
}

// Nothing where that is no answer of Pub/Sub's.
std::optional<std::size_t> count_message_ids(const std::string& body) {
  dom::parser parser;
  dom::element parsed;
  dom::array ids;
  if (parser.parse(body).get(parsed) != simdjson::SUCCESS ||
      parsed["messageIds"].get_array().get(ids) != simdjson::SUCCESS) {
    return std::nullopt;
  }
  std::size_t count = 0;
  for (const dom::element id : ids) {
    if (!id.is_string()) return std::nullopt;
    ++count;
  }
  return count;
}

}  // namespace

PubsubMessages::PubsubMessages(const HttpUplinkOptions& options, std::string gateway)
    : gateway_(std::move(gateway)), has_keys_(!options.key.empty()), records_(gateway_, options.key) {}

Result<std::string> PubsubMessages::body(const OutgoingBatch& batch) {
  const std::string same = attributes(gateway_, batch);
  std::string text;
  std::size_t messages = 0;
  const auto made = records_.for_each(batch, [&](const std::string& key, std::string_view record) {
    ++messages;
    text += text.empty() ? "{\"messages\":[" : ",";
    text += "{\"data\":\"" + base64(record) + '"' + same;
    if (has_keys_) {
      text += ",\"orderingKey\":";
      append_json_string(text, key.size() > kKeyBytesMost ? hexadecimal(mqtt::sha256(key)) : key);
    }
    text += '}';
  });
  if (!made) return tl::unexpected(made.error());
  if (text.empty()) return text;
  sent_[batch.id] = messages;
  return text + "]}";
}

HttpVerdict PubsubMessages::judge(const OutgoingBatch& batch, const HttpAnswer& answer) {
  const auto on_its_way = sent_.extract(batch.id);
  HttpVerdict verdict = uplink::judge(answer, batch.count);
  if (!verdict.acknowledged) return verdict;
  if (answer.status == 200 && !on_its_way.empty() && count_message_ids(answer.body) == on_its_way.mapped())
    return verdict;
  verdict.acknowledged = false;
  verdict.trouble = "answered " + std::to_string(answer.status) +
                    ", but not with 200 and an id for each message, as Pub/Sub does: " + clip(answer.body, 300);
  return verdict;
}

}  // namespace tidegate::uplink
