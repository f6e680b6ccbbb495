#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "mqtt/broker_options.h"
#include "mqtt/packet.h"

namespace tidegate::drivers {

enum class PayloadFormat : std::uint8_t { json, number, text, csv, sparkplug };
enum class TimeUnit : std::uint8_t { seconds, milliseconds, microseconds, nanoseconds, iso8601 };

/// When whoever sent a message gets its acknowledgement.
enum class MessageAck : std::uint8_t {
  durable,  // when the message survives a power cut here
  written,  // when the message survives a kill of the daemon
};

/// Where a section stands, "FILE:LINE", for messages. It makes no difference to what the section means.
struct SectionPlace {
  std::string text;
  bool operator==(const SectionPlace&) const { return true; }
};

/// One `[[driver.mqtt.subscribe]]`.
struct MqttSubscribeOptions {
  std::string topic;  // template: "plant/{device}/{tag}", a trailing "{name...}" takes the rest; sparkplug: a filter
  int qos = 1;
  PayloadFormat payload = PayloadFormat::json;
  std::string device;                                       // when the template has no {device}; default: driver name
  std::string tag;                                          // when the template has no {tag}
  std::string value;                                        // JSON pointer of the single value; "" is the whole payload
  std::vector<std::pair<std::string, std::string>> values;  // tag name to JSON pointer; instead of `value`
  bool values_all = false;                                  // values = "*": every scalar member of the object
  std::string each;  // JSON pointer of an array; the others point into an element
  std::string time;  // JSON pointer; empty: the time of arrival
  TimeUnit time_unit = TimeUnit::milliseconds;
  std::string unit;                                        // of what `units` does not name
  std::vector<std::pair<std::string, std::string>> units;  // name of a value, else of a tag, to unit
  SectionPlace where;
  bool operator==(const MqttSubscribeOptions&) const = default;
};

/// One `[[driver.mqtt]]`.
struct MqttDriverOptions {
  std::string name;
  mqtt::BrokerOptions broker;
  std::vector<MqttSubscribeOptions> subscribe;
  MessageAck ack = MessageAck::written;
  std::uint16_t inflight_max = 10'000;  // messages that wait for their acknowledgement; only with ack `durable`
  std::uint64_t queue_bytes = 1024 * 1024;
  std::uint32_t automatic_tags_max = 10000;
  bool operator==(const MqttDriverOptions&) const = default;
};

}  // namespace tidegate::drivers
