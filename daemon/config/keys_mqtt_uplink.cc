#include <algorithm>

#include "core/text.h"
#include "daemon/config/broker_keys.h"
#include "daemon/config/feedback.h"
#include "daemon/config/keys.h"
#include "daemon/config/rows.h"
#include "daemon/config/scope.h"
#include "daemon/config/uplink_rows.h"
#include "uplink/sparkplug/sparkplug_names.h"

namespace tidegate::daemon {
namespace {

using uplink::MqttFormat;
using uplink::MqttUplinkOptions;
using uplink::SparkplugOptions;

constexpr const char* kSparkplugNameForm = "a name of 1 to 255 bytes of UTF-8 without +, # and /";

bool has_writable_tag(const Config& config) {
  const auto is_writable = [](const auto& tag) { return tag.writable; };
  const auto has_one = [&](const auto& device) {
    return std::any_of(device.tags.begin(), device.tags.end(), is_writable);
  };
  return std::any_of(config.modbus_buses.begin(), config.modbus_buses.end(),
                     [&](const auto& bus) { return std::any_of(bus.devices.begin(), bus.devices.end(), has_one); });
}

void warn_of_open_commands(const MqttUplinkOptions& uplink, const Scope& scope) {
  if (!uplink.sparkplug.commands) return;
  const Scope at = scope.table("sparkplug");
  if (!has_writable_tag(scope.state().config)) at.odd("commands", "has nothing to write: no tag is writable = true");
  const std::string& broker = uplink.broker.uri;
  const bool is_near =
      broker.starts_with("mqtt://127.") || broker.starts_with("mqtt://localhost") || broker.starts_with("mqtt://[::1]");
  if (!broker.empty() && !broker.starts_with("mqtts://") && !is_near) {
    at.odd("commands", "without TLS whoever is on the way to the broker can write tags: use an mqtts:// broker");
  }
}

void check_sparkplug(const MqttUplinkOptions& uplink, const Scope& scope) {
  if (scope.has("topic")) {
    scope.wrong("topic", "is not for format = \"sparkplug\", whose topics come of group and node: leave it out");
  }
  if (!scope.has("sparkplug")) {
    return scope.wrong("format", "\"sparkplug\" needs the table \"sparkplug\" with at least { group = \"NAME\" }");
  }
  if (!scope.is_sound("sparkplug")) return;
  if (!scope.table("sparkplug").has("group")) {
    return scope.wrong("sparkplug", "needs the key \"group\", " + std::string(kSparkplugNameForm));
  }
  if (uplink.sparkplug.qos == 0) {
    scope.table("sparkplug")
        .odd("qos",
             "0 is what the specification says, but what is on its way when a connection ends is lost: delivered means "
             "handed to the network. With 1 nothing is lost");
  }
  warn_of_open_commands(uplink, scope);
  if (uplink.broker.uri.empty() || uplink.sparkplug.group.empty() || !scope.is_sound("broker")) return;
  const uplink::SparkplugNames names(uplink.sparkplug, scope.state().config.gateway.id);
  scope.claim("Sparkplug node at broker " + clip(broker_place(uplink.broker.uri), 200), names.topic("NBIRTH"),
              "sparkplug", "two uplinks would number the messages of one node: give another group or node");
}

// What a broker refuses for good only one of version 5 can say.
void finish_protocol(MqttUplinkOptions& uplink, const Scope& scope) {
  const bool is_v5 = uplink.broker.protocol == mqtt::ProtocolVersion::v5;
  if (is_v5 && uplink.format == MqttFormat::sparkplug && scope.is_sound("format")) {
    scope.wrong("protocol",
                "\"5\" is not for format = \"sparkplug\", whose sessions and wills are specified for MQTT 3.1.1: use "
                "\"3.1.1\", or leave it out");
  }
  uplink.forwarder.keeps_order = true;
  uplink.forwarder.blames_size_for_lost_links = !is_v5;  // of 5 says beforehand what it takes, and ends with a reason
  if (is_v5) return;
  if (scope.has("dead_letter_after") && uplink.forwarder.dead_letter_after > 0 && scope.is_sound("protocol")) {
    scope.wrong(
        "dead_letter_after",
        "needs protocol = \"5\" beside it: in MQTT 3.1.1 a broker cannot say what it refuses, so that no record "
        "becomes a dead letter; leave it out or set 0");
  }
  uplink.forwarder.dead_letter_after = 0;
}

void check_format(const MqttUplinkOptions& uplink, const Scope& scope) {
  if (!scope.is_sound("format")) return;
  if (scope.has("integers") && uplink.format != MqttFormat::influx) {
    scope.wrong("integers", "is only for format = \"influx\"");
  }
  if (uplink.format == MqttFormat::sparkplug) return check_sparkplug(uplink, scope);
  if (scope.has("sparkplug")) scope.wrong("sparkplug", "is only for format = \"sparkplug\"");
}

void finish_mqtt(MqttUplinkOptions& uplink, const Scope& scope) {
  scope.claim_name("uplink");
  finish_broker(uplink.broker, "tidegate-" + scope.state().config.gateway.id + "-out-" + uplink.forwarder.name, scope);
  check_format(uplink, scope);
  finish_protocol(uplink, scope);
  uplink.forwarder.takes_letters = uplink.format != uplink::MqttFormat::sparkplug;
  warn_of_feedback(uplink, scope);
}

// Of what {gateway} stands for nothing is wrong here.
Result<void> check_name_of_node(const std::string& name) {
  if (auto good = check_placeholders(name, {"gateway"}); !good) return good;
  return uplink::check_sparkplug_name(name);
}

Section sparkplug_keys() {
  using namespace rows;
  using Owner = SparkplugOptions;
  Section section = table<MqttUplinkOptions>("sparkplug", &MqttUplinkOptions::sparkplug,
                                             "The Sparkplug B edge node that this uplink is, with `format = "
                                             "\"sparkplug\"` ([sparkplug.md](sparkplug.md)).");
  section.keys = {
      checked<Owner>("group", &Owner::group, check_name_of_node)
          .must_be(kSparkplugNameForm)
          .example("\"plant\"")
          .says("Has to be there. The group id of its topics, `spBv1.0/GROUP/...`. `{gateway}` is the gateway's id."),
      checked<Owner>("node", &Owner::node, check_name_of_node)
          .must_be(kSparkplugNameForm)
          .by_default("{gateway}")
          .says("The edge node's id. No other node of the group may have it."),
      checked<Owner>("primary_host", &Owner::primary_host,
                     [](const std::string& name) { return uplink::check_sparkplug_name(name); })
          .must_be(kSparkplugNameForm)
          .example("\"scada\"")
          .says("The host that has to be online (`spBv1.0/STATE/HOST`). While it is not, nothing is sent and all is "
                "stored. Without it none is waited for."),
      integer<Owner>("qos", &Owner::qos, 0, 1)
          .by_default(1)
          .says("QoS of births and data. The specification says 0, with which a link that is lost loses what was on "
                "its way; with 1 nothing counts as delivered before the broker has it."),
      boolean<Owner>("commands", &Owner::commands)
          .by_default(false)
          .says("Whether commands (DCMD, NCMD) write tags that are `writable`. Who may publish them the broker "
                "decides: whoever can, can move a valve. `tags` does not narrow that. Without it they are passed over "
                "and named in the log."),
  };
  return section;
}

std::vector<Key> payload_rows() {
  using namespace rows;
  using Owner = MqttUplinkOptions;
  return {
      checked<Owner>("topic", &Owner::topic, check_publish_topic)
          .must_be("a topic with {gateway}, {stream} and {lane}")
          .by_default("tidegate/{gateway}/{stream}")
          .says("Where batches are published to. `{lane}` is `live` or `backlog`, as the batch says, so that who "
                "wants the present alone can subscribe to that. Not with `format = \"sparkplug\"`, which has topics of "
                "its own."),
      choice<Owner, MqttFormat>(
          "format", &Owner::format,
          {{"json", MqttFormat::json}, {"influx", MqttFormat::influx}, {"sparkplug", MqttFormat::sparkplug}})
          .by_default("json")
          .says("How a batch is written: one JSON object, InfluxDB's line protocol, or messages of a Sparkplug B edge "
                "node, which needs the table `sparkplug`."),
      choice<Owner, bool>("integers", &Owner::integers_as_floats, {{"integer", false}, {"float", true}})
          .by_default("integer")
          .says("What integers become with `format = \"influx\"`. A database that keeps one type a field refuses a tag "
                "whose values are now `21` and now `21.5`: then \"float\"."),
  };
}

}  // namespace

Section mqtt_uplink_keys() {
  using namespace rows;
  using Owner = MqttUplinkOptions;
  Section section = list<Config>("mqtt", &Config::mqtt_uplinks, "Batches to an MQTT broker, QoS 1.");
  section.keys = {name_row<Owner>()};
  for (Key& key : broker_keys<Owner>("`tidegate-GATEWAY-out-NAME`")) section.keys.push_back(std::move(key));
  section.keys.push_back(protocol_key<Owner>().by_default("3.1.1").says(
      "The version of MQTT. With \"5\" a batch carries `tidegate-*` as user properties, the limits of the broker are "
      "kept, and it says why it refuses something ([how](adr/0035-mqtt-5-of-uplinks.md)). With \"3.1.1\" a broker may "
      "acknowledge what it does not let us publish (mosquitto does), which then counts as delivered. A broker that "
      "knows only the other version is not tried with that: the status says which to set. `format = \"sparkplug\"` "
      "has 3.1.1."));
  for (Key& key : payload_rows()) section.keys.push_back(std::move(key));
  for (Key& key : forwarder_rows<Owner>()) section.keys.push_back(std::move(key));
  for (Key& key : refusal_rows<Owner>("Only with `protocol = \"5\"`. ")) section.keys.push_back(std::move(key));
  section.sections = {sparkplug_keys(), tls_keys<Owner>(), batch_keys<Owner>(), weight_keys<Owner>()};
  section.finish = finish<Owner>(finish_mqtt);
  return section;
}

}  // namespace tidegate::daemon
