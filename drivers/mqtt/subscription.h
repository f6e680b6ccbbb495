#pragma once

#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "core/error.h"
#include "drivers/mqtt/options.h"
#include "drivers/mqtt/payload_decoder.h"
#include "drivers/mqtt/topic_template.h"
#include "mqtt/client.h"

namespace tidegate::drivers {

/// One `[[driver.mqtt.subscribe]]`, made ready: which topics, what to take from a payload, and how tags are called.
struct Subscription {
  TopicTemplate topic;
  std::string sparkplug_filter;  // not empty: Sparkplug, for which the rest but the QoS says nothing
  PayloadRule rule;
  int qos = 1;
  std::string device;                    // where the topic and the payload give none
  std::string tag;                       // likewise; may be empty where values have names
  std::vector<std::string> value_names;  // of rule.values; empty when there is one value without a name
  std::string unit;
  std::map<std::string, std::string, std::less<>> units;  // by the name of the value, or of the tag where it has none

  /// Of a value with this name, empty where it has none, and of a tag called so.
  const std::string& unit_of(std::string_view name, std::string_view tag_name) const {
    const auto found = units.find(name.empty() ? tag_name : name);
    return found == units.end() ? unit : found->second;
  }
  bool is_sparkplug() const { return !sparkplug_filter.empty(); }
  /// What to subscribe to.
  std::string filter() const { return is_sparkplug() ? sparkplug_filter : topic.filter(); }
  bool has_fixed_device() const { return !topic.has_device() && !rule.device; }
  bool has_fixed_tags() const {
    return !is_sparkplug() && has_fixed_device() && !topic.has_tag() && !rule.tag && !rule.all_members;
  }
};

/// Error: what is wrong with the options, with their place.
Result<Subscription> make_subscription(const MqttSubscribeOptions& options, const std::string& driver);

/// What is wrong with the topic, which is a template or, with Sparkplug, a filter.
Result<void> check_topic(const MqttSubscribeOptions& options);
/// What the broker is asked for; the topic is right.
std::string filter_of(const MqttSubscribeOptions& options);
/// Whether what is published to `topic` is for this subscription; its own topic is right.
bool subscribes_to(const MqttSubscribeOptions& options, const std::string& topic);

/// What to ask the broker for: those with the same filter are one to it. QoS 2 is asked for as QoS 1: nothing that it
/// promises outlives a restart of the gateway.
std::vector<mqtt::Subscription> broker_subscriptions(const std::vector<Subscription>& subscriptions);

/// What is said of a message of which nothing is taken because it is larger than a quarter of the queue.
std::string too_large_text(std::string_view topic, std::uint64_t bytes);

/// "device/tag/name", without the parts that are empty.
std::string tag_path(std::string_view device, std::string_view tag, std::string_view name);

}  // namespace tidegate::drivers
