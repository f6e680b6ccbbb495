#include "uplink/mqtt_verdict.h"

#include "core/text.h"

namespace tidegate::uplink {
namespace {

using mqtt::ReasonCode;

constexpr std::size_t kTopicBytesShown = 200;

std::string what_to_do(ReasonCode reason, const std::string& topic) {
  const std::string shown = "\"" + clip(topic, kTopicBytesShown) + "\"";
  switch (reason) {
    case ReasonCode::not_authorized:
      return "this client may not publish to " + shown + ": check the broker's access list, or policy, and \"topic\"";
    case ReasonCode::topic_name_invalid:
      return "the broker does not take the topic " + shown + ": check its rules for topics, and \"topic\"";
    case ReasonCode::quota_exceeded:
      return "a quota is used up: check what the broker allows this client, and whether its queues are full";
    default:
      return "check the broker's log";
  }
}

}  // namespace

MqttVerdict judge(const mqtt::PublishRefusal& refusal, const std::string& topic, std::uint32_t records) {
  MqttVerdict verdict;
  const std::string words = refusal.words.empty() ? "" : "; it says \"" + refusal.words + '"';
  switch (refusal.reason) {
    case ReasonCode::packet_too_large:
      verdict.failure.too_large = records > 1;
      if (records > 1) return verdict;
      verdict.failure.refusal = "packet too large: " + std::to_string(refusal.bytes) +
                                " bytes with one record alone, and the broker takes " +
                                std::to_string(refusal.bytes_max) + " (maximum packet size)";
      return verdict;
    case ReasonCode::payload_format_invalid:
      verdict.failure.refusal = std::string(to_string(refusal.reason)) + words;
      return verdict;
    default:
      verdict.trouble = std::string("the broker refuses batches (") + to_string(refusal.reason) +
                        "): " + what_to_do(refusal.reason, topic) + words;
      return verdict;
  }
}

}  // namespace tidegate::uplink
