#include "uplink/pubsub_messages.h"

#include <utility>

#include "core/text.h"
#include "mqtt/sha256.h"
#include "uplink/byte_text.h"

namespace tidegate::uplink {
namespace {

constexpr std::size_t kKeyBytesMost = 1024;

std::string attributes(const std::string& gateway, const OutgoingBatch& batch) {
  std::string text = ",\"attributes\":{\"tidegate-gateway\":";
  append_json_string(text, gateway);
  const auto add = [&text](const char* name, const std::string& value) {
    text += std::string(",\"tidegate-") + name + "\":\"" + value + '"';
  };
  add("stream", to_string(batch.stream));
  add("epoch", std::to_string(batch.epoch));
  add("from", std::to_string(batch.from));
  add("to", std::to_string(batch.to));
  return text + '}';
}

}  // namespace

PubsubMessages::PubsubMessages(const HttpUplinkOptions& options, std::string gateway)
    : gateway_(std::move(gateway)), has_keys_(!options.key.empty()), records_(gateway_, options.key) {}

Result<std::string> PubsubMessages::body(const OutgoingBatch& batch) {
  const std::string same = attributes(gateway_, batch);
  std::string text;
  const auto made = records_.for_each(batch, [&](const std::string& key, std::string_view record) {
    text += text.empty() ? "{\"messages\":[" : ",";
    text += "{\"data\":\"" + base64(record) + '"' + same;
    if (has_keys_) {
      text += ",\"orderingKey\":";
      append_json_string(text, key.size() > kKeyBytesMost ? hexadecimal(mqtt::sha256(key)) : key);
    }
    text += '}';
  });
  if (!made) return tl::unexpected(made.error());
  if (!text.empty()) text += "]}";
  return text;
}

}  // namespace tidegate::uplink
