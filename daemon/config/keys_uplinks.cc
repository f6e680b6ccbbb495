#include <algorithm>

#include "core/text.h"
#include "daemon/config/broker_keys.h"
#include "daemon/config/feedback.h"
#include "daemon/config/keys.h"
#include "daemon/config/rows.h"
#include "daemon/config/scope.h"

namespace tidegate::daemon {
namespace {

using namespace std::chrono_literals;
using uplink::FileUplinkOptions;
using uplink::ForwarderOptions;
using uplink::MqttUplinkOptions;

template <class Uplink>
Section batch_keys() {
  using namespace rows;
  using Owner = ForwarderOptions;
  Section section = table<Uplink>(
      "batch", [](Uplink & uplink) -> auto& { return uplink.forwarder; },
      "When a batch is complete: whichever is reached first.");
  section.keys = {
      integer<Owner>("max_readings", &Owner::batch_readings_max, 1, 10000).by_default(500).says("Records in a batch."),
      size<Owner>("max_bytes", &Owner::batch_bytes_max, kKiB, 16 * 1024 * kKiB)
          .by_default("256KiB")
          .says("Size of a batch."),
      duration<Owner>("max_delay", &Owner::batch_delay_max, 0s, 1h)
          .by_default("1s")
          .says("How long the oldest record waits for others."),
  };
  return section;
}

template <class Owner>
Key name_row() {
  using namespace rows;
  return checked<Owner>(
             "name", [](Owner & uplink) -> auto& { return uplink.forwarder.name; }, check_name)
      .required()
      .must_be(kNameForm)
      .example("\"cloud\"")
      .says("The uplink's name; its place in the log is kept under it.");
}

template <class Owner>
std::vector<Key> forwarder_rows() {
  using namespace rows;
  const auto of = [](auto member) {
    return [member](Owner & uplink) -> auto& { return uplink.forwarder.*member; };
  };
  return {
      choices<Owner, Stream>("streams", of(&ForwarderOptions::streams),
                             {{"readings", Stream::readings}, {"alarms", Stream::alarms}, {"events", Stream::events}})
          .by_default(std::vector<std::string>{"readings", "alarms", "events"})
          .says("Which streams to send."),
      checked_texts<Owner>("tags", of(&ForwarderOptions::tags), check_tag_glob)
          .must_be("globs over tag paths")
          .by_default(std::vector<std::string>{"*"})
          .says(
              "Which tags' readings and alarms to send. `*` matches any run of characters, `/` too; `?` matches one."),
      integer<Owner>("inflight", of(&ForwarderOptions::inflight_max), 1, 100)
          .by_default(8)
          .says("How many batches may be on their way without an acknowledgement."),
      duration<Owner>("retry_most", of(&ForwarderOptions::retry_most), 1s, 1h)
          .by_default("60s")
          .says("The longest pause before a batch that failed is sent again; the pauses grow."),
      only_word("order", "oldest-first")
          .not_yet("live-first", "use \"oldest-first\"")
          .says("What goes first after an outage."),
      later("backfill_rate",
            "the backlog goes as fast as the target acknowledges; slow it down with inflight and batch"),
  };
}

void finish_mqtt(MqttUplinkOptions& uplink, const Scope& scope) {
  scope.claim_name("uplink");
  finish_broker(uplink.broker, "tidegate-" + scope.state().config.gateway.id + "-out-" + uplink.forwarder.name, scope);
  warn_of_feedback(uplink, scope);
}

void finish_file(FileUplinkOptions& uplink, const Scope& scope) {
  scope.claim_name("uplink");
  if (scope.has("path") && scope.is_sound("path")) {
    scope.claim("file", uplink.path, "path", "two uplinks cannot write to one file");
  }
}

Result<void> check_path(const std::string& path) { return check_placeholders(path, {"stream", "date"}); }

Section mqtt_keys() {
  using namespace rows;
  using Owner = MqttUplinkOptions;
  Section section = list<Config>("mqtt", &Config::mqtt_uplinks, "Batches as JSON to an MQTT broker, QoS 1.");
  section.keys = {name_row<Owner>()};
  for (Key& key : broker_keys<Owner>("`tidegate-GATEWAY-out-NAME`")) section.keys.push_back(std::move(key));
  section.keys.push_back(checked<Owner>("topic", &Owner::topic, check_publish_topic)
                             .must_be("a topic with {gateway} and {stream}")
                             .by_default("tidegate/{gateway}/{stream}")
                             .says("Where batches are published to."));
  section.keys.push_back(only_word("format", "json")
                             .not_yet("sparkplug", "use \"json\"")
                             .not_yet("influx", "use \"json\"")
                             .says("How a batch is written."));
  for (Key& key : forwarder_rows<Owner>()) section.keys.push_back(std::move(key));
  section.sections = {tls_keys<Owner>(), batch_keys<Owner>()};
  section.finish = finish<Owner>(finish_mqtt);
  return section;
}

Section file_keys() {
  using namespace rows;
  using Owner = FileUplinkOptions;
  Section section = list<Config>("file", &Config::file_uplinks, "Records as lines of JSON (NDJSON) in files.");
  section.keys = {
      name_row<Owner>(),
      checked<Owner>("path", &Owner::path, check_path)
          .required()
          .must_be("a path with {stream} and {date}")
          .example("\"/srv/export/{stream}-{date}.ndjson\"")
          .says("The file, made when it is not there; its directory is. `{date}` is the day in UTC, `YYYY-MM-DD`. "
                "The service may write there only where a drop-in of its unit says so, with `ReadWritePaths=`."),
  };
  for (Key& key : forwarder_rows<Owner>()) section.keys.push_back(std::move(key));
  section.sections = {batch_keys<Owner>()};
  section.finish = finish<Owner>(finish_file);
  return section;
}

}  // namespace

Section uplink_keys() {
  using namespace rows;
  Section section = table<Config>(
      "uplink", [](Config & config) -> auto& { return config; }, "Where readings, alarms and events go.");
  section.keys = {later("kafka", "use [[uplink.mqtt]] or [[uplink.file]]"),
                  later("http", "use [[uplink.mqtt]] or [[uplink.file]]")};
  section.sections = {mqtt_keys(), file_keys()};
  return section;
}

}  // namespace tidegate::daemon
