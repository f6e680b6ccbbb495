#pragma once

#include <cstdint>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "core/record.h"
#include "core/time.h"
#include "mqtt/broker_options.h"
#include "uplink/avro/registry_options.h"
#include "uplink/http_header.h"
#include "uplink/sending_windows.h"

namespace tidegate::uplink {

/// How batches are shared out among lanes that have something to send at the same time, in parts of the sum; none is 0.
struct LaneWeights {
  std::uint32_t alarms = 28;  // and events, which have one in eight of these
  std::uint32_t live = 3;     // where readings are one lane, that has the weights of both
  std::uint32_t backlog = 1;
  bool operator==(const LaneWeights&) const = default;
};

/// What every uplink has, whatever its transport.
struct ForwarderOptions {
  std::string name;
  std::vector<Stream> streams{Stream::readings, Stream::alarms, Stream::events};
  std::vector<std::string> tags{"*"};  // globs; filters readings and alarms
  std::uint32_t batch_readings_max = 500;
  std::uint64_t batch_bytes_max = 256 * 1024;
  Duration batch_delay_max = std::chrono::seconds(1);
  std::uint32_t inflight_max = 8;
  bool keeps_order = false;  // the target takes batches in the order in which they are sent, unless it refuses one
  bool blames_size_for_lost_links = true;  // where a connection is lost again and again with the same batch
  bool doubts_short_links = true;          // one that is lost soon, again and again, is not told as up before it holds
  Duration retry_first = std::chrono::milliseconds(500);
  Duration retry_most = std::chrono::seconds(60);
  std::uint32_t dead_letter_after = 0;  // refusals of the same record until it is a dead letter; 0: it never is
  std::uint32_t dead_letters_max = 10'000;
  std::uint64_t dead_letters_bytes_max = 64 * 1024 * 1024;
  bool takes_letters = true;  // a record may be sent outside of the chain
  bool live_first = false;    // readings that are current do not wait for the backlog
  LaneWeights weights{};
  double backfill_rate = 0;              // readings a second of the backlog; 0: as fast as the target acknowledges
  std::vector<SendingWindow> windows{};  // when readings are sent; empty: always
  bool alarms_always = true;             // alarms and events outside of these too
  bool operator==(const ForwarderOptions&) const = default;
};

enum class MqttFormat : std::uint8_t { json, influx, sparkplug };

/// The names of a Sparkplug edge node, and what it waits for.
struct SparkplugOptions {
  std::string group;
  std::string node = "{gateway}";
  std::string primary_host;          // empty: none is waited for
  int qos = 1;                       // of births and data; deaths have 1
  bool commands = false;             // who may publish at the broker may write tags
  std::set<std::string> writable{};  // with commands: the tags that drivers take writes for; the daemon says so
  std::uint64_t first_alias = 0;     // with commands: aliases of an earlier start must not be those of other metrics
  bool operator==(const SparkplugOptions&) const = default;
};

/// One `[[uplink.mqtt]]`.
struct MqttUplinkOptions {
  ForwarderOptions forwarder;
  mqtt::BrokerOptions broker;
  std::string topic = "tidegate/{gateway}/{stream}";  // not of format sparkplug
  MqttFormat format = MqttFormat::json;
  bool integers_as_floats = false;  // format influx
  SparkplugOptions sparkplug{};     // format sparkplug
  bool operator==(const MqttUplinkOptions&) const = default;
};

enum class FileFormat : std::uint8_t { ndjson, csv };

/// One `[[uplink.file]]`.
struct FileUplinkOptions {
  ForwarderOptions forwarder;
  std::string path;  // {gateway}, {stream} and {date} (UTC, YYYY-MM-DD) are filled in
  FileFormat format = FileFormat::ndjson;
  bool spreadsheet_safe = false;   // csv: no text is a formula to a spreadsheet
  std::uint64_t rotate_bytes = 0;  // a file that has as much gets a name of its own; 0: none does
  std::string part_suffix;         // behind the name of a file that is not finished; empty: nothing
  bool operator==(const FileUplinkOptions&) const = default;
};

enum class KafkaFormat : std::uint8_t { json, avro };

/// Where the tokens of a login with OAUTHBEARER come from: a token endpoint, or a file that another program renews.
struct KafkaTokenOptions {
  std::string url;  // of the endpoint; empty: the file
  std::string client_id;
  HttpHeader client_secret;
  std::string scope;     // empty: none is asked for
  mqtt::TlsOptions tls;  // of the endpoint
  std::string file;
  std::vector<std::pair<std::string, std::string>> extensions;  // which the brokers get beside the token
  bool operator==(const KafkaTokenOptions&) const = default;
};

/// One `[[uplink.kafka]]`.
struct KafkaUplinkOptions {
  struct Login {
    std::string mechanism;  // as SASL calls it: PLAIN, SCRAM-SHA-256, SCRAM-SHA-512, OAUTHBEARER
    std::string username;
    std::string password;
    KafkaTokenOptions token{};  // OAUTHBEARER, in place of both
    bool uses_tokens() const { return mechanism == "OAUTHBEARER"; }
    bool operator==(const Login&) const = default;
  };

  ForwarderOptions forwarder;
  std::vector<std::string> brokers;  // HOST:PORT
  std::string topic = "tidegate.{stream}";
  std::string key = "{tag}";
  std::string compression = "none";  // as Kafka calls it
  bool headers = true;               // tidegate-* in each message
  bool exactly_once = false;
  std::string cursor_topic = "tidegate-cursors";  // of exactly_once
  std::optional<mqtt::TlsOptions> tls;            // nothing: plain TCP
  std::optional<Login> login;
  KafkaFormat format = KafkaFormat::json;
  std::optional<SchemaRegistryOptions> registry;  // with format avro, and only then
  bool operator==(const KafkaUplinkOptions&) const = default;
};

}  // namespace tidegate::uplink
