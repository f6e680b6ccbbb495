#include "uplink/sparkplug/sparkplug_names.h"

#include <algorithm>
#include <chrono>
#include <utility>

#include "core/text.h"
#include "mqtt/sparkplug_payload.h"

namespace tidegate::uplink {
namespace {

constexpr std::size_t kNameBytesMost = 255;

std::string filled(std::string text, const std::string& gateway) {
  constexpr std::string_view kPlaceholder = "{gateway}";
  for (auto at = text.find(kPlaceholder); at != std::string::npos; at = text.find(kPlaceholder, at + gateway.size())) {
    text.replace(at, kPlaceholder.size(), gateway);
  }
  return text;
}

}  // namespace

SparkplugNames::SparkplugNames(const SparkplugOptions& options, const std::string& gateway)
    : group_(filled(options.group, gateway)), node_(filled(options.node, gateway)), host_(options.primary_host) {}

std::string SparkplugNames::topic(std::string_view kind, std::string_view device) const {
  std::string topic = "spBv1.0/" + group_ + '/';
  topic += kind;
  topic += '/' + node_;
  if (!device.empty()) topic.append(1, '/').append(device);
  return topic;
}

mqtt::ConnectionWill sparkplug_death(const SparkplugNames& names, std::uint64_t bd_seq, WallTime now) {
  mqtt::SparkplugPayload payload;
  payload.timestamp = sparkplug_time(now);
  mqtt::SparkplugMetric metric;
  metric.name = "bdSeq";
  metric.timestamp = payload.timestamp;
  metric.type = mqtt::SparkplugType::int64;
  metric.value = bd_seq;
  payload.metrics.push_back(std::move(metric));
  return {names.topic("NDEATH"), mqtt::encode_sparkplug(payload)};
}

Result<void> check_sparkplug_name(std::string_view name) {
  if (name.empty() || name.size() > kNameBytesMost || name.find_first_of("+#/") != std::string_view::npos ||
      !is_valid_utf8(name) || has_control(name)) {
    return fail(ErrorCode::invalid,
                "must be a name of 1 to 255 bytes of UTF-8 without +, # and /, found \"" + clip(name) + "\"");
  }
  return {};
}

std::uint64_t sparkplug_time(WallTime time) {
  const auto milliseconds = std::chrono::floor<std::chrono::milliseconds>(time.time_since_epoch()).count();
  return static_cast<std::uint64_t>(std::max<std::int64_t>(milliseconds, 0));
}

}  // namespace tidegate::uplink
