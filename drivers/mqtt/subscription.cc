#include "drivers/mqtt/subscription.h"

#include <algorithm>

#include "core/log.h"
#include "core/text.h"
#include "drivers/mqtt/sparkplug_topic.h"
#include "mqtt/topic_filter.h"

namespace tidegate::drivers {
namespace {

Error at(const std::string& where, Error error) {
  if (!where.empty()) error.message = where + ": " + error.message;
  return error;
}

// Beside `each`, a device or a tag that begins with a slash is a pointer into the element.
bool is_pointer(const MqttSubscribeOptions& options, const std::string& text) {
  return !options.each.empty() && !text.empty() && text.front() == '/';
}

Result<void> put_pointer(const std::string& text, std::optional<JsonPointer>& into) {
  auto pointer = JsonPointer::parse(text);
  if (!pointer) return tl::unexpected(pointer.error());
  into = std::move(*pointer);
  return {};
}

Result<void> put_values(const MqttSubscribeOptions& options, Subscription& made) {
  made.rule.all_members = options.values_all;
  std::vector<std::string> texts;
  if (options.values.empty()) texts.push_back(options.value);
  for (const auto& [name, text] : options.values) {
    made.value_names.push_back(name);
    texts.push_back(text);
  }
  for (const std::string& text : texts) {
    auto pointer = JsonPointer::parse(text);
    if (!pointer) return tl::unexpected(pointer.error());
    made.rule.values.push_back(std::move(*pointer));
  }
  return {};
}

Result<void> put_names(const MqttSubscribeOptions& options, const std::string& driver, Subscription& made) {
  made.device = options.device.empty() ? driver : options.device;
  made.tag = options.tag;
  if (!made.topic.has_device() && is_pointer(options, options.device)) {
    if (auto put = put_pointer(options.device, made.rule.device); !put) return put;
  }
  if (!made.topic.has_tag() && is_pointer(options, options.tag)) {
    if (auto put = put_pointer(options.tag, made.rule.tag); !put) return put;
  }
  const bool is_named = made.topic.has_tag() || !options.tag.empty() || !options.values.empty() || options.values_all;
  if (!is_named) {
    return fail(ErrorCode::invalid,
                "topic \"" + options.topic + "\": nothing names the tag; give the topic a {tag}, or set tag or values");
  }
  return {};
}

Result<void> put_pointers(const MqttSubscribeOptions& options, Subscription& made) {
  if (!options.each.empty()) {
    if (auto put = put_pointer(options.each, made.rule.each); !put) return put;
  }
  if (!options.time.empty()) {
    if (auto put = put_pointer(options.time, made.rule.time); !put) return put;
  }
  return put_values(options, made);
}

}  // namespace

Result<Subscription> make_subscription(const MqttSubscribeOptions& options, const std::string& driver) {
  Subscription made;
  made.qos = options.qos;
  if (auto right = check_topic(options); !right) return tl::unexpected(at(options.where.text, right.error()));
  if (options.payload == PayloadFormat::sparkplug) {
    made.sparkplug_filter = options.topic;
    return made;
  }
  made.topic = std::move(*TopicTemplate::parse(options.topic));
  made.unit = options.unit;
  made.units = {options.units.begin(), options.units.end()};
  made.rule.format = options.payload;
  made.rule.time_unit = options.time_unit;
  if (auto put = put_pointers(options, made); !put) return tl::unexpected(at(options.where.text, put.error()));
  if (auto put = put_names(options, driver, made); !put) return tl::unexpected(at(options.where.text, put.error()));
  return made;
}

Result<void> check_topic(const MqttSubscribeOptions& options) {
  if (options.payload == PayloadFormat::sparkplug) return check_sparkplug_filter(options.topic);
  const auto parsed = TopicTemplate::parse(options.topic);
  if (!parsed) return tl::unexpected(parsed.error());
  return {};
}

std::string filter_of(const MqttSubscribeOptions& options) {
  return options.payload == PayloadFormat::sparkplug ? options.topic : TopicTemplate::parse(options.topic)->filter();
}

bool subscribes_to(const MqttSubscribeOptions& options, const std::string& topic) {
  if (options.payload == PayloadFormat::sparkplug) return mqtt::filter_matches(options.topic, topic);
  const auto wanted = TopicTemplate::parse(options.topic);
  return wanted && wanted->match(topic);
}

std::vector<mqtt::Subscription> broker_subscriptions(const std::vector<Subscription>& subscriptions) {
  std::vector<mqtt::Subscription> filters;
  for (const Subscription& subscription : subscriptions) {
    const std::string filter = subscription.filter();
    const int qos = std::min(subscription.qos, 1);
    const auto same =
        std::find_if(filters.begin(), filters.end(), [&](const auto& other) { return other.filter == filter; });
    if (same == filters.end()) {
      filters.push_back({filter, qos});
    } else {
      same->qos = std::max(same->qos, qos);
    }
  }
  return filters;
}

std::string too_large_text(std::string_view topic, std::uint64_t bytes) {
  return fmt::format(
      "too_large on topic \"{}\": {} are more than a quarter of the queue, the message is dropped; a larger queue "
      "would take it",
      clip(topic), format_size(bytes));
}

std::string tag_path(std::string_view device, std::string_view tag, std::string_view name) {
  std::string path(device);
  for (const std::string_view part : {tag, name}) {
    if (part.empty()) continue;
    path += '/';
    path += part;
  }
  return path;
}

}  // namespace tidegate::drivers
