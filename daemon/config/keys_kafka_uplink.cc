#include <string>
#include <utility>

#include "core/shown_address.h"
#include "core/text.h"
#include "daemon/config/broker_keys.h"
#include "daemon/config/host_port.h"
#include "daemon/config/kafka_login.h"
#include "daemon/config/keys.h"
#include "daemon/config/rows.h"
#include "daemon/config/schema_registry_keys.h"
#include "daemon/config/scope.h"
#include "daemon/config/tls_checks.h"
#include "daemon/config/uplink_rows.h"
#include "uplink/kafka/kafka_library.h"
#include "uplink/kafka/kafka_names.h"

namespace tidegate::daemon {
namespace {

using uplink::KafkaFormat;
using uplink::KafkaUplinkOptions;

constexpr std::uint16_t kKafkaPort = 9092;

Result<void> check_broker(const std::string& text) {
  const auto found = parse_host_port(text);
  if (found && found->port != 0) return {};
  return fail(ErrorCode::invalid, "must be brokers as \"HOST[:PORT]\", found \"" + shown_address(text) + "\"");
}

Result<void> check_topic(const std::string& topic) { return check_placeholders(topic, {"gateway", "stream"}); }
Result<void> check_cursor_topic(const std::string& topic) { return check_placeholders(topic, {"gateway"}); }
Result<void> check_key(const std::string& key) { return check_placeholders(key, {"tag", "gateway"}); }

void finish_topic(const KafkaUplinkOptions& uplink, const Scope& scope) {
  if (!scope.is_sound("topic")) return;
  for (const Stream stream : uplink.forwarder.streams) {
    const auto topic = uplink::kafka_topic(uplink.topic, scope.state().config.gateway.id, stream);
    if (!topic) return scope.wrong("topic", topic.error().message);
  }
}

void finish_cursor_topic(const KafkaUplinkOptions& uplink, const Scope& scope) {
  if (scope.has("cursor_topic") && !uplink.exactly_once) {
    return scope.odd("cursor_topic", "has no meaning without delivery = \"exactly-once\"");
  }
  if (!uplink.exactly_once || !scope.is_sound("cursor_topic") || !scope.is_sound("topic")) return;
  const std::string& gateway = scope.state().config.gateway.id;
  const auto cursors = uplink::kafka_cursor_topic(uplink.cursor_topic, gateway);
  if (!cursors) return scope.wrong("cursor_topic", cursors.error().message);
  for (const Stream stream : uplink.forwarder.streams) {
    if (uplink::kafka_topic(uplink.topic, gateway, stream) != *cursors) continue;
    scope.wrong("cursor_topic", "is a topic of records too: it must be one of its own, found \"" + *cursors + "\"");
  }
}

void finish_kafka(KafkaUplinkOptions& uplink, const Scope& scope) {
  scope.claim_name("uplink");
  for (std::string& broker : uplink.brokers) {
    const auto found = parse_host_port(broker);
    if (found) broker = format_host_port(found->host, found->port.value_or(kKafkaPort));
  }
  if (uplink.brokers.empty() && scope.has("brokers") && scope.is_sound("brokers")) {
    scope.wrong("brokers", "needs at least one");
  }
  if (uplink.exactly_once && uplink.forwarder.live_first) {
    scope.wrong("order",
                "\"live-first\" does not go with delivery = \"exactly-once\", whose cursor is one place a stream");
  }
  if (uplink.exactly_once && scope.has("dead_letter_after") && uplink.forwarder.dead_letter_after > 0) {
    scope.wrong("dead_letter_after",
                "does not go with delivery = \"exactly-once\" yet: leave it out or set 0, then a record that is "
                "refused for good holds the uplink up");
  }
  if (uplink.exactly_once) uplink.forwarder.dead_letter_after = 0;
  uplink.forwarder.takes_letters = !uplink.exactly_once;
  // Whatever goes wrong there ends the link.
  uplink.forwarder.blames_size_for_lost_links = uplink.forwarder.doubts_short_links = !uplink.exactly_once;
  finish_topic(uplink, scope);
  finish_cursor_topic(uplink, scope);
  if (!scope.has("tls")) {
    uplink.tls.reset();
  } else if (scope.is_sound("tls")) {
    check_tls_table(*uplink.tls, "broker", scope.table("tls"));
  }
  finish_kafka_login(uplink, scope);
  finish_schema_registry(uplink, scope);
  if (const auto library = uplink::KafkaLibrary::load(); !library) scope.wrong("", library.error().message);
}

std::vector<Key> kafka_rows() {
  using namespace rows;
  using Owner = KafkaUplinkOptions;
  return {
      name_row<Owner>(),
      checked_texts<Owner>("brokers", &Owner::brokers, check_broker)
          .required()
          .must_be("brokers as \"HOST[:PORT]\"")
          .example("[\"k1:9092\", \"k2:9092\"]")
          .says("Some brokers of the cluster, which tell of the others. The port is 9092 when none is given."),
      checked<Owner>("topic", &Owner::topic, check_topic)
          .must_be("a topic with {gateway} and {stream}")
          .by_default("tidegate.{stream}")
          .says("Where records are produced to: 1 to 249 of the characters `a-z A-Z 0-9 . _ -` when filled in."),
      checked<Owner>("key", &Owner::key, check_key)
          .must_be("a key with {tag} and {gateway}")
          .by_default("{tag}")
          .says("Key of a message. Records with the same key are in one partition and keep their order there. A record "
                "of no tag, as most events are, has the gateway's id for `{tag}`. `{gateway}` alone keeps the order of "
                "everything, in one partition."),
      choice<Owner, bool>("delivery", &Owner::exactly_once, {{"at-least-once", false}, {"exactly-once", true}})
          .by_default("at-least-once")
          .says(
              "What a restart does to the records that were on their way: with `at-least-once` they are sent again, "
              "with the same epoch and seq. With `exactly-once` they go in transactions, each with the uplink's cursor "
              "behind them, which is read back at every connect: consumers with `isolation.level=read_committed` get "
              "each record once, over crashes and older copies of the disk."),
      choice<Owner, KafkaFormat>("format", &Owner::format, {{"json", KafkaFormat::json}, {"avro", KafkaFormat::avro}})
          .by_default("json")
          .says(
              "What the value of a message is: a line of JSON, or [Avro](avro.md) with the id of its schema before it, "
              "which the table `schema_registry` then has to tell of. The key is a text with either."),
      checked<Owner>("cursor_topic", &Owner::cursor_topic, check_cursor_topic)
          .must_be("a topic with {gateway}")
          .by_default("tidegate-cursors")
          .says("Where `exactly-once` keeps the cursors of gateways. Made with one partition and "
                "`cleanup.policy=compact` when it is not there; more partitions must not be added later."),
      choice<Owner, std::string>(
          "compression", &Owner::compression,
          {{"none", "none"}, {"gzip", "gzip"}, {"snappy", "snappy"}, {"lz4", "lz4"}, {"zstd", "zstd"}})
          .by_default("none")
          .says("How messages are compressed. `zstd` is the smallest, and takes some 8 MiB of memory."),
      boolean<Owner>("headers", &Owner::headers)
          .by_default(true)
          .says("Whether each message has the headers `tidegate-gateway`, `-stream`, `-epoch`, `-from` and `-to`. "
                "Without them it is half as long and costs a third of the time; gateway, stream, epoch and seq are in "
                "the record itself, `from` and `to` of its batch are not."),
  };
}

}  // namespace

Section kafka_uplink_keys() {
  using namespace rows;
  using Owner = KafkaUplinkOptions;
  Section section = list<Config>("kafka", &Config::kafka_uplinks,
                                 "A message a record to Kafka, acknowledged by all replicas in sync. Needs the package "
                                 "librdkafka1.");
  section.keys = kafka_rows();
  for (Key& key : forwarder_rows<Owner>()) section.keys.push_back(std::move(key));
  for (Key& key : refusal_rows<Owner>()) section.keys.push_back(std::move(key));
  section.sections = {tls_keys<Owner>(
                          [](Owner & owner) -> auto& { return owner.tls.emplace(); },
                          "The connection is TLS when this table is there, if only as `tls = {}`: how the "
                          "brokers are checked and how we show who we are."),
                      kafka_sasl_keys(), schema_registry_keys(), batch_keys<Owner>(), weight_keys<Owner>()};
  section.finish = finish<Owner>(finish_kafka);
  return section;
}

}  // namespace tidegate::daemon
