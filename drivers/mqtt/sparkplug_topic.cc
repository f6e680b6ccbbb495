#include "drivers/mqtt/sparkplug_topic.h"

#include <array>
#include <utility>
#include <vector>

#include "core/text.h"
#include "mqtt/topic_filter.h"

namespace tidegate::drivers {
namespace {

constexpr std::string_view kNamespace = "spBv1.0";
constexpr std::size_t kTopicBytesMax = 65'535;

struct Kind {
  std::string_view word;
  SparkplugMessage message;
  bool has_device;
};
constexpr std::array kKinds{
    Kind{"NBIRTH", SparkplugMessage::nbirth, false}, Kind{"NDATA", SparkplugMessage::ndata, false},
    Kind{"NDEATH", SparkplugMessage::ndeath, false}, Kind{"NCMD", SparkplugMessage::other, false},
    Kind{"DBIRTH", SparkplugMessage::dbirth, true},  Kind{"DDATA", SparkplugMessage::ddata, true},
    Kind{"DDEATH", SparkplugMessage::ddeath, true},  Kind{"DCMD", SparkplugMessage::other, true},
};

}  // namespace

std::optional<SparkplugTopic> parse_sparkplug_topic(std::string_view topic) {
  const auto levels = split(topic, '/');
  if (levels.size() < 3 || levels[0] != kNamespace) return std::nullopt;
  if (levels.size() == 3 && levels[1] == "STATE") return SparkplugTopic{};
  for (const auto level : levels) {
    if (level.empty()) return std::nullopt;
  }
  for (const Kind& kind : kKinds) {
    if (kind.word != levels[2]) continue;
    if (levels.size() != (kind.has_device ? 5U : 4U)) return std::nullopt;
    return SparkplugTopic{kind.message, levels[1], levels[3], kind.has_device ? levels[4] : std::string_view{}};
  }
  return std::nullopt;
}

Result<void> check_sparkplug_filter(const std::string& filter) {
  const auto refuse = [&](const char* why) {
    return fail(ErrorCode::invalid, "topic \"" + clip(filter) + "\": " + why);
  };
  constexpr const char* kForms =
      "with payload \"sparkplug\" it is a filter that brings all of a node: \"spBv1.0/#\", \"spBv1.0/GROUP/#\" or "
      "\"spBv1.0/GROUP/+/NODE/#\"";
  if (filter.size() > kTopicBytesMax || !is_valid_utf8(filter) || filter.find('\0') != std::string::npos) {
    return refuse("a topic is valid UTF-8 of at most 65535 bytes");
  }
  if (mqtt::is_shared(filter)) {
    return refuse(
        "with payload \"sparkplug\" it cannot be shared: a gateway has to see the birth of a node and all of its "
        "messages; leave $share/ and the group out");
  }
  const auto levels = split(filter, '/');
  if (!mqtt::is_topic_filter(filter) || filter.find_first_of("{}") != std::string::npos) return refuse(kForms);
  if (levels.size() < 2 || levels.size() > 5 || levels.front() != kNamespace || levels.back() != "#") {
    return refuse(kForms);
  }
  if (levels.size() > 3 && levels[2] != "+") return refuse(kForms);
  return {};
}

}  // namespace tidegate::drivers
