#include "tests/daemon/config_snippets.h"

#include <algorithm>
#include <map>

namespace tidegate::daemon {
namespace {

using Lines = std::vector<std::string>;  // "key = value"

struct Frame {
  std::string before;
  Lines keys;  // of the section itself
  std::string after;
};

const std::string kMqttDriver = "[[driver.mqtt]]\nname = \"m\"\nbroker = \"mqtts://a\"\n";
const std::string kSubscribe = "[[driver.mqtt.subscribe]]\ntopic = \"{tag}\"\n";
const std::string kListener = "[[driver.mqtt_listener]]\nname = \"l\"\nlisten = \"127.0.0.1:1883\"\n";
const std::string kUsers = "users = { file = \"users\" }\n";
const std::string kListened = "[[driver.mqtt_listener.subscribe]]\ntopic = \"{tag}\"\n";
const std::string kBus = "[[driver.modbus]]\nname = \"b\"\nurl = \"tcp://h\"\n";
const std::string kDevice = "[[driver.modbus.device]]\nname = \"d\"\n";
const std::string kTags = "tags = [{ name = \"t\", address = \"holding:0\" }]\n";
const std::string kSimulator = "[[driver.simulator]]\nname = \"s\"\n";
const std::string kMqttUplink = "[[uplink.mqtt]]\nname = \"u\"\nbroker = \"mqtts://b\"\n";
const std::string kHttpUplink = "[[uplink.http]]\nname = \"h\"\nurl = \"https://h/\"\n";
const std::string kKinesisUplink = kHttpUplink + "format = \"kinesis\"\n";
const Lines kAwsKeys{"region = \"eu-west-1\"", "stream = \"s\"", "access_key_id = \"AKIA\"",
                     "secret_access_key = { file = \"secret\" }"};
const std::string kAwsTable =
    "aws = { region = \"r\", stream = \"s\", access_key_id = \"A\", secret_access_key = { file = \"secret\" } }";
const std::string kKafkaUplink = "[[uplink.kafka]]\nname = \"k\"\nbrokers = [\"h\"]\n";
const std::string kRegistryUrl = "url = \"https://r\"";
const std::string kAvroUplink = kKafkaUplink + "format = \"avro\"\n";
const std::string kAvroRegistry = kAvroUplink + "[uplink.kafka.schema_registry]\n" + kRegistryUrl + "\n";
const Lines kTokenKeys{"mechanism = \"OAUTHBEARER\"", "token_url = \"https://h/token\"", "client_id = \"c\"",
                       "client_secret = { file = \"secret\" }"};
const std::string kPostgresqlUplink =
    "[[uplink.postgresql]]\nname = \"p\"\nurl = \"postgresql://h/d\"\nusername = \"u\"\n";
const std::string kFileUplink = "[[uplink.file]]\nname = \"f\"\npath = \"p\"\n";

const std::map<std::string, Frame>& frames() {
  static const std::map<std::string, Frame> kFrames{
      {"", {}},
      {"gateway", {}},
      {"gateway.admin_tls", {"", {"cert = \"gateway.pem\"", "key = \"gateway.key\""}, ""}},
      {"buffer", {}},
      {"driver", {}},
      {"uplink", {}},
      {"driver.mqtt", {"", {"name = \"m\"", "broker = \"mqtts://a\""}, kSubscribe}},
      {"driver.mqtt.tls", {kMqttDriver, {}, kSubscribe}},
      {"driver.mqtt.subscribe", {kMqttDriver, {"topic = \"{tag}\""}, ""}},
      {"driver.mqtt_listener", {"", {"name = \"l\"", "listen = \"127.0.0.1:1883\""}, kListened}},
      {"driver.mqtt_listener.tls", {kListener, {"cert = \"gateway.pem\"", "key = \"gateway.key\""}, kListened}},
      {"driver.mqtt_listener.allow", {kListener + kUsers, {"publish = [\"a/#\"]"}, kListened}},
      {"driver.mqtt_listener.watch", {kListener + kUsers, {"topics = [\"tidegate/#\"]"}, kListened}},
      {"driver.mqtt_listener.subscribe", {kListener, {"topic = \"{tag}\""}, ""}},
      {"driver.modbus", {"", {"name = \"b\"", "url = \"tcp://h\""}, kDevice + kTags}},
      {"driver.modbus.device", {kBus, {"name = \"d\""}, kTags}},
      {"driver.modbus.device.tags", {kBus + kDevice, {"name = \"t\"", "address = \"holding:0\""}, ""}},
      {"driver.simulator", {"", {"name = \"s\""}, ""}},
      {"rule", {kSimulator, {"name = \"r\"", "type = \"threshold\"", "tags = [\"s-*\"]", "raise = \"> 90\""}, ""}},
      {"uplink.mqtt", {"", {"name = \"u\"", "broker = \"mqtts://b\""}, ""}},
      {"uplink.mqtt.sparkplug", {kMqttUplink + "format = \"sparkplug\"\n", {"group = \"g\""}, ""}},
      {"uplink.mqtt.tls", {kMqttUplink, {}, ""}},
      {"uplink.mqtt.batch", {kMqttUplink, {}, ""}},
      {"uplink.mqtt.weights", {kMqttUplink, {}, ""}},
      {"uplink.http", {"", {"name = \"h\"", "url = \"https://h/\""}, ""}},
      {"uplink.http.tls", {kHttpUplink, {}, ""}},
      {"uplink.http.batch", {kHttpUplink, {}, ""}},
      {"uplink.http.weights", {kHttpUplink, {}, ""}},
      {"uplink.http.aws", {kKinesisUplink, kAwsKeys, ""}},
      {"uplink.kafka", {"", {"name = \"k\"", "brokers = [\"h\"]"}, ""}},
      {"uplink.kafka.tls", {kKafkaUplink, {}, ""}},
      {"uplink.kafka.sasl",
       {kKafkaUplink + "tls = {}\n",
        {"mechanism = \"SCRAM-SHA-512\"", "username = \"u\"", "password = { file = \"secret\" }"},
        ""}},
      {"uplink.kafka.sasl.tls",
       {kKafkaUplink + "tls = {}\n[uplink.kafka.sasl]\n" + kTokenKeys[0] + "\n" + kTokenKeys[1] + "\n" + kTokenKeys[2] +
            "\n" + kTokenKeys[3] + "\n",
        {},
        ""}},
      {"uplink.kafka.schema_registry", {kAvroUplink, {kRegistryUrl}, ""}},
      {"uplink.kafka.schema_registry.tls", {kAvroRegistry, {}, ""}},
      {"uplink.kafka.batch", {kKafkaUplink, {}, ""}},
      {"uplink.kafka.weights", {kKafkaUplink, {}, ""}},
      {"uplink.postgresql", {"", {"name = \"p\"", "url = \"postgresql://h/d\"", "username = \"u\""}, ""}},
      {"uplink.postgresql.tls", {kPostgresqlUplink, {}, ""}},
      {"uplink.postgresql.batch", {kPostgresqlUplink, {}, ""}},
      {"uplink.postgresql.weights", {kPostgresqlUplink, {}, ""}},
      {"uplink.file", {"", {"name = \"f\"", "path = \"p\""}, ""}},
      {"uplink.file.batch", {kFileUplink, {}, ""}},
      {"uplink.file.weights", {kFileUplink, {}, ""}},
  };
  return kFrames;
}

// What a key needs beside it, instead of or besides the lines of its frame; `line` is what it is set to.
Lines companions(const std::string& path, const std::string& key, const std::string& line) {
  if (path == "rule" && (key == "method" || key == "sensitivity" || key == "warmup" || key == "alpha")) {
    return {"name = \"r\"", "type = \"anomaly\"", "tags = [\"s-*\"]"};
  }
  if (line == "payload = \"csv\"") return {"topic = \"{tag}\"", "value = \"/0\""};
  if (line == "payload = \"sparkplug\"") return {"topic = \"spBv1.0/#\""};
  if (path.ends_with(".subscribe") && key == "tag") return {"topic = \"x\""};
  if (path == "uplink.kafka.sasl" && key == "token") return {kTokenKeys[0]};
  const bool is_of_tokens = key == "token_url" || key == "client_id" || key == "client_secret" || key == "scope" ||
                            key == "extensions" || line == "mechanism = \"OAUTHBEARER\"";
  if (path == "uplink.kafka.sasl" && is_of_tokens) return kTokenKeys;
  Lines lines = frames().at(path).keys;
  if (line == "format = \"sparkplug\"") lines.emplace_back("sparkplug = { group = \"g\" }");
  if (line == "format = \"avro\"") lines.push_back("schema_registry = { " + kRegistryUrl + " }");
  if (path == "gateway.admin_tls" || path == "driver.mqtt_listener.tls" || path == "uplink.kafka.sasl" ||
      path == "uplink.kafka" || path == "uplink.postgresql") {
    return lines;
  }
  if (path == "uplink.http.aws") return lines;
  if (line == "format = \"kinesis\"") lines.push_back(kAwsTable);
  if (path == "uplink.http" && key == "key") lines.emplace_back("format = \"pubsub\"");
  if (key == "password") lines.emplace_back("username = \"u\"");
  if (path == "uplink.kafka.schema_registry" && key == "username")
    lines.emplace_back("password = { file = \"secret\" }");
  if (key == "spreadsheet_safe") lines = {"name = \"f\"", "path = \"{stream}\"", "format = \"csv\""};
  if (line == "format = \"csv\"") lines = {"name = \"f\"", "path = \"{stream}\""};
  if (key == "part_suffix") lines.emplace_back("rotate_size = \"1MiB\"");
  if (key == "integers") lines.emplace_back("format = \"influx\"");
  if (key == "cert") lines.emplace_back("key = { file = \"client.key\" }");
  if (key == "key" && path != "uplink.http") lines.emplace_back("cert = \"client.pem\"");
  if (path == "driver.mqtt" && (key == "protocol" || key == "inflight_max")) lines.emplace_back("ack = \"durable\"");
  if (path == "uplink.mqtt" && key == "dead_letter_after") lines.emplace_back("protocol = \"5\"");
  if (key == "time_unit") lines.emplace_back("time = \"/ts\"");
  if (key == "backoff_most") lines.emplace_back("timeout = \"10ms\"");
  return lines;
}

void collect(const Section& section, const std::string& path, std::vector<PlacedSection>& into) {
  into.push_back(PlacedSection{&section, path});
  for (const Section& inner : section.sections)
    collect(inner, path.empty() ? inner.name : path + "." + inner.name, into);
}

// "driver.modbus.device" to "driver.modbus[0].device[0]."
std::string prefix_of(const std::string& path) {
  std::string prefix;
  const Section* section = &key_table();
  for (std::size_t begin = 0; begin < path.size();) {
    const std::size_t end = std::min(path.find('.', begin), path.size());
    section = section->section(path.substr(begin, end - begin));
    prefix += section->name + (section->is_list ? "[0]." : ".");
    begin = end + 1;
  }
  return prefix;
}

}  // namespace

std::vector<PlacedSection> all_sections() {
  std::vector<PlacedSection> sections;
  collect(key_table(), "", sections);
  return sections;
}

Snippet around(const PlacedSection& placed, const std::string& key, const std::string& line) {
  const Frame& frame = frames().at(placed.path);
  Snippet snippet;
  snippet.key_prefix = prefix_of(placed.path);
  const auto count = [&] {
    return static_cast<std::uint32_t>(std::count(snippet.text.begin(), snippet.text.end(), '\n')) + 1U;
  };
  snippet.text = frame.before;
  snippet.header_line = count();
  if (!placed.path.empty()) {
    snippet.text += placed.section->is_list ? "[[" + placed.path + "]]\n" : "[" + placed.path + "]\n";
  }
  for (const std::string& each : companions(placed.path, key, line)) {
    if (each.rfind(key + " ", 0) != 0) snippet.text += each + "\n";
  }
  snippet.line = count();
  snippet.text += line + "\n" + frame.after;
  return snippet;
}

}  // namespace tidegate::daemon
