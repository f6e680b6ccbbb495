#include <string>
#include <vector>

#include "core/text.h"
#include "daemon/config/broker_keys.h"
#include "daemon/config/keys.h"
#include "daemon/config/subscribe_keys.h"
#include "drivers/mqtt/subscription.h"
#include "mqtt/topic_filter.h"

namespace tidegate::daemon {
namespace {

using drivers::MessageAck;
using drivers::MqttDriverOptions;
using mqtt::ProtocolVersion;

// The client of "written" speaks 3.1.1. A broker of version 5 is told how much may wait for a sync, which one of 3.1.1
// is not.
void finish_ack(MqttDriverOptions& driver, const Scope& scope) {
  const bool is_durable = driver.ack == MessageAck::durable;
  if (!scope.has("protocol")) driver.broker.protocol = is_durable ? ProtocolVersion::v5 : ProtocolVersion::v3_1_1;
  if (is_durable) return check_sync_beside_durable(scope);
  if (driver.broker.protocol == ProtocolVersion::v5) {
    scope.wrong("protocol", "can be \"5\" only beside ack = \"durable\"; use \"3.1.1\", or leave it out");
  }
  if (scope.has("inflight_max")) {
    scope.wrong("inflight_max",
                "is only for ack = \"durable\": with \"written\", a message does not wait for its acknowledgement");
  }
}

// The filter of a topic that is right, else nothing.
std::string filter_of(const drivers::MqttSubscribeOptions& subscribe, const Scope& scope) {
  const bool is_right = scope.has("topic") && scope.is_sound("topic") && drivers::check_topic(subscribe);
  return is_right ? drivers::filter_of(subscribe) : std::string();
}

// One filter written twice is one to the broker; of two that only meet, each brings the message if one is shared.
void check_shared(const MqttDriverOptions& driver, const Scope& scope) {
  std::vector<std::string> filters;
  for (std::size_t i = 0; i < driver.subscribe.size(); ++i) {
    const Scope item = scope.item("subscribe", i);
    const std::string& filter = filters.emplace_back(filter_of(driver.subscribe[i], item));
    for (std::size_t before = 0; before < i; ++before) {
      const std::string& other = filters[before];
      if (filter.empty() || other.empty() || filter == other) continue;
      if (!mqtt::is_shared(filter) && !mqtt::is_shared(other)) continue;
      if (!mqtt::filters_meet(mqtt::without_share(filter), mqtt::without_share(other))) continue;
      item.odd("topic", "has topics in common with \"" + clip(driver.subscribe[before].topic) +
                            "\", and one of the two is shared: the broker sends such a message for each of them, and "
                            "its readings are taken more than once; let the topics differ");
      break;
    }
  }
}

void finish_driver(MqttDriverOptions& driver, const Scope& scope) {
  finish_ack(driver, scope);
  finish_broker(driver.broker, "tidegate-" + scope.state().config.gateway.id + "-in-" + driver.name, scope);
  check_shared(driver, scope);
  if (!scope.has("name") || !scope.is_sound("name")) return;
  for (std::size_t i = 0; i < driver.subscribe.size(); ++i) {
    note_subscribed_tags(driver.name, driver.subscribe[i], scope.item("subscribe", i));
  }
}

}  // namespace

Section mqtt_driver_keys() {
  using namespace rows;
  using Owner = MqttDriverOptions;
  Section section = list<Config>("mqtt", &Config::mqtt_drivers, "A client of an existing MQTT broker.");
  section.keys = {driver_name_key<Owner>()};
  for (Key& key : broker_keys<Owner>("`tidegate-GATEWAY-in-NAME`")) section.keys.push_back(std::move(key));
  section.keys.push_back(
      choice<Owner, MessageAck>("ack", &Owner::ack,
                                {{"written", MessageAck::written}, {"durable", MessageAck::durable}})
          .by_default("written")
          .says("When the broker gets its acknowledgement: when the message survives a kill of the daemon, or when it "
                "survives a power cut. With \"durable\" so many messages are taken a sync as the broker keeps in "
                "flight. A message over a quarter of `queue_size` is let pass by."));
  section.keys.push_back(
      protocol_key<Owner>()
          .by_default_is("`\"5\"` with ack = \"durable\", else `\"3.1.1\"`")
          .says("The version of MQTT. A broker of 3.1.1 keeps as many messages in flight as its own configuration says "
                "(mosquitto: `max_inflight_messages`, 20 when nothing is said), whatever `inflight_max` is here."));
  section.keys.push_back(
      integer<Owner>("inflight_max", &Owner::inflight_max, 1, 65535)
          .by_default(10000)
          .says("With ack = \"durable\", how many messages may wait for their acknowledgement: the receive maximum of "
                "MQTT 5. From a broker that sends more nothing is read until there is room."));
  section.keys.push_back(size<Owner>("queue_size", &Owner::queue_bytes, 64 * kKiB, 256 * 1024 * kKiB)
                             .by_default("1MiB")
                             .says("Room between driver and log, in shared memory, with ack = \"durable\" in plain "
                                   "memory. When it is full, the "
                                   "broker waits. A message that would fill more than a quarter of it is refused."));
  section.keys.push_back(integer<Owner>("automatic_tags_max", &Owner::automatic_tags_max, 1, 1000000)
                             .by_default(10000)
                             .says("How many tags this driver may make of what arrives."));
  section.sections = {tls_keys<Owner>(),
                      subscribe_keys<Owner>("A subscription, and how its messages become readings.")};
  section.finish = finish<Owner>(finish_driver);
  return section;
}

}  // namespace tidegate::daemon
