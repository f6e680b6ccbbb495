#include "uplink/kafka/kafka_names.h"

#include "core/text.h"
#include "uplink/placeholders.h"

namespace tidegate::uplink {
namespace {

constexpr std::size_t kTopicBytesMax = 249;
constexpr std::string_view kTopicCharacters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-";

Result<std::string> checked_topic(Result<std::string> topic) {
  if (!topic) return topic;
  const bool is_legal = !topic->empty() && topic->size() <= kTopicBytesMax && *topic != "." && *topic != ".." &&
                        topic->find_first_not_of(kTopicCharacters) == std::string::npos;
  if (is_legal) return topic;
  return fail(ErrorCode::invalid, "topic \"" + clip(*topic) +
                                      "\" is none of Kafka's: it needs 1 to 249 of the characters a-z A-Z 0-9 . _ -");
}

}  // namespace

Result<std::string> kafka_topic(std::string_view topic_template, std::string_view gateway, Stream stream) {
  return checked_topic(fill_placeholders(topic_template, {{"gateway", gateway}, {"stream", to_string(stream)}}));
}

Result<std::string> kafka_cursor_topic(std::string_view topic_template, std::string_view gateway) {
  return checked_topic(fill_placeholders(topic_template, {{"gateway", gateway}}));
}

std::string kafka_transactional_id(std::string_view gateway, std::string_view uplink) {
  return "tidegate/" + std::string(gateway) + "/" + std::string(uplink);
}

Result<std::string> kafka_key(std::string_view key_template, std::string_view gateway, std::string_view tag) {
  return fill_placeholders(key_template, {{"tag", tag.empty() ? gateway : tag}, {"gateway", gateway}});
}

}  // namespace tidegate::uplink
