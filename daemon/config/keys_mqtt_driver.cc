#include "daemon/config/broker_keys.h"
#include "daemon/config/keys.h"
#include "daemon/config/subscribe_keys.h"

namespace tidegate::daemon {
namespace {

using drivers::MqttDriverOptions;
void finish_driver(MqttDriverOptions& driver, const Scope& scope) {
  finish_broker(driver.broker, "tidegate-" + scope.state().config.gateway.id + "-in-" + driver.name, scope);
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
  section.keys.push_back(only_word("ack", "written")
                             .not_yet("durable", "use \"written\"")
                             .says("When the broker gets its acknowledgement: when the message survives a kill of the "
                                   "daemon."));
  section.keys.push_back(
      size<Owner>("queue_size", &Owner::queue_bytes, 64 * kKiB, 256 * 1024 * kKiB)
          .by_default("1MiB")
          .says("Room between driver and log, in shared memory. When it is full, the broker waits."));
  section.keys.push_back(integer<Owner>("automatic_tags_max", &Owner::automatic_tags_max, 1, 1000000)
                             .by_default(10000)
                             .says("How many tags this driver may make of what arrives."));
  section.sections = {tls_keys<Owner>(),
                      subscribe_keys<Owner>("A subscription, and how its messages become readings.")};
  section.finish = finish<Owner>(finish_driver);
  return section;
}

}  // namespace tidegate::daemon
