#include "daemon/config/feedback.h"

#include <algorithm>
#include <vector>

#include "core/text.h"
#include "drivers/mqtt/subscription.h"
#include "uplink/lane.h"
#include "uplink/sparkplug/sparkplug_names.h"

namespace tidegate::daemon {
namespace {

std::string filled(std::string topic, const std::string& placeholder, const std::string& text) {
  for (std::size_t at = topic.find(placeholder); at != std::string::npos; at = topic.find(placeholder, at)) {
    topic.replace(at, placeholder.size(), text);
    at += text.size();
  }
  return topic;
}

bool takes_one_of(const drivers::MqttDriverOptions& driver, const std::string& topic) {
  return std::any_of(driver.subscribe.begin(), driver.subscribe.end(),
                     [&](const auto& subscribe) { return drivers::subscribes_to(subscribe, topic); });
}

}  // namespace

std::string broker_place(const std::string& uri) {
  const std::string authority = uri.substr(uri.find("://") + 3);
  const std::size_t colon = authority.rfind(':');
  const std::string host = authority.substr(0, colon);
  const bool is_local = host == "localhost" || host == "[::1]";
  return (is_local ? "127.0.0.1" : host) + authority.substr(colon);
}

namespace {

// What an uplink publishes to, and the key that says so.
std::vector<std::string> topics_of(const uplink::MqttUplinkOptions& uplink, const std::string& gateway) {
  if (uplink.format == uplink::MqttFormat::sparkplug) {
    const uplink::SparkplugNames names(uplink.sparkplug, gateway);
    return {names.topic("NDATA"), names.topic("DDATA", "device")};
  }
  std::vector<std::string> topics;
  for (const Stream stream : uplink.forwarder.streams) {
    const std::string topic = filled(filled(uplink.topic, "{gateway}", gateway), "{stream}", to_string(stream));
    for (const uplink::Lane lane : uplink::kAllLanes) topics.push_back(filled(topic, "{lane}", to_string(lane)));
  }
  return topics;
}

}  // namespace

void warn_of_feedback(const uplink::MqttUplinkOptions& uplink, const Scope& scope) {
  const Config& config = scope.state().config;
  if (uplink.broker.uri.empty()) return;
  for (const auto& driver : config.mqtt_drivers) {
    if (driver.broker.uri.empty() || broker_place(driver.broker.uri) != broker_place(uplink.broker.uri)) continue;
    for (const std::string& topic : topics_of(uplink, config.gateway.id)) {
      if (!takes_one_of(driver, topic)) continue;
      scope.odd(uplink.format == uplink::MqttFormat::sparkplug ? "sparkplug" : "topic",
                "is subscribed to by the driver \"" + clip(driver.name) + "\" on the same broker: \"" + clip(topic) +
                    "\" would come in again");
      break;
    }
  }
}

}  // namespace tidegate::daemon
