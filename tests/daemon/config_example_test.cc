#include <chrono>

#include "tests/daemon/config_fixture.h"

namespace tidegate::daemon {
namespace {

using namespace std::chrono_literals;

class ConfigExampleTest : public ConfigTest {
 protected:
  Config load_example() {
    const auto loaded = load_config(std::string(TIDEGATE_SOURCE_DIR) + "/docs/examples/tidegate.toml");
    if (loaded) return *loaded;
    ADD_FAILURE() << all(loaded.error());
    return Config{};
  }
};

TEST_F(ConfigExampleTest, the_gateway_of_the_example_is_read) {
  const Config config = load_example();
  EXPECT_EQ(config.gateway.id, "plant-7");
  EXPECT_EQ(config.gateway.data_dir, "/var/lib/tidegate");
  EXPECT_EQ(config.gateway.runtime_dir, "/run/tidegate");
  EXPECT_EQ(config.gateway.admin, (AdminAddress{AdminAddress::Kind::tcp, "127.0.0.1", 8480, ""}));
  // Which is there on a machine that exports to it, and then it is silent.
  for (const Problem& warning : config.warnings) {
    EXPECT_EQ(warning.message.find("the directory /srv/export is not there"), 0U) << format_problem(warning);
  }
}

TEST_F(ConfigExampleTest, the_buffer_of_the_example_is_read) {
  const BufferOptions buffer = load_example().buffer;
  buffer::RingLogOptions ring;
  ring.directory = "/var/lib/tidegate/log";
  ring.size_max_bytes = {256ULL << 20, 16ULL << 20, 8ULL << 20};
  ring.sync = buffer::SyncPolicy::interval;
  ring.sync_interval = 250ms;
  EXPECT_EQ(buffer.ring, ring);
  EXPECT_EQ(buffer.ack, AckPolicy::durable);
  EXPECT_EQ(buffer.ring.when_full, buffer::WhenFull::drop_oldest);
}

TEST_F(ConfigExampleTest, the_mqtt_driver_of_the_example_is_read) {
  const Config config = load_example();
  drivers::MqttSubscribeOptions subscribe;
  subscribe.topic = "plant/{device}/{tag}";
  subscribe.value = "/value";
  subscribe.time = "/ts";
  ASSERT_EQ(config.mqtt_drivers.size(), 1U);
  ASSERT_EQ(config.mqtt_drivers[0].subscribe.size(), 1U);
  EXPECT_NE(config.mqtt_drivers[0].subscribe[0].where.text.find("docs/examples/tidegate.toml:23"), std::string::npos)
      << config.mqtt_drivers[0].subscribe[0].where.text;
  subscribe.where = config.mqtt_drivers[0].subscribe[0].where;
  drivers::MqttDriverOptions driver;
  driver.name = "local";
  driver.broker.uri = "mqtt://127.0.0.1:1883";
  driver.broker.client_id = "tidegate-plant-7";
  driver.subscribe = {subscribe};
  EXPECT_EQ(config.mqtt_drivers[0], driver);
}

drivers::ModbusTagOptions modbus_tag(const std::string& name, drivers::ModbusTable table, std::uint16_t address,
                                     drivers::ModbusType type) {
  drivers::ModbusTagOptions tag;
  tag.name = name;
  tag.address = {table, address};
  tag.type = type;
  return tag;
}

TEST_F(ConfigExampleTest, the_modbus_driver_of_the_example_is_read) {
  using drivers::ModbusTable;
  using drivers::ModbusType;
  drivers::ModbusDeviceOptions boiler;
  boiler.name = "boiler";
  boiler.unit = 1;
  boiler.interval = 1s;
  boiler.tags = {modbus_tag("temp", ModbusTable::holding, 100, ModbusType::float32),
                 modbus_tag("power", ModbusTable::input, 8, ModbusType::int16),
                 modbus_tag("run", ModbusTable::coil, 3, ModbusType::boolean),
                 modbus_tag("fault", ModbusTable::holding, 10, ModbusType::uint16),
                 modbus_tag("setpoint", ModbusTable::holding, 200, ModbusType::float32),
                 modbus_tag("serial", ModbusTable::holding, 300, ModbusType::string)};
  boiler.tags[0].order = drivers::ByteOrder::cdab;
  boiler.tags[0].unit = "°C";
  boiler.tags[1].scale = 0.1;
  boiler.tags[1].offset = 0;
  boiler.tags[1].unit = "kW";
  boiler.tags[1].deadband = 0.5;
  boiler.tags[1].interval = 200ms;
  boiler.tags[3].bit = std::uint8_t{4};
  boiler.tags[4].min = 0;
  boiler.tags[4].max = 90;
  boiler.tags[5].string_bytes = 12;
  drivers::ModbusBusOptions bus;
  bus.name = "line-1";
  bus.host = "10.0.0.5";
  bus.port = 502;
  bus.timeout = 500ms;
  bus.retries = 1;
  bus.max_gap = 8;
  bus.devices = {boiler};
  const Config config = load_example();
  ASSERT_EQ(config.modbus_buses.size(), 1U);
  EXPECT_EQ(config.modbus_buses[0], bus);
}

TEST_F(ConfigExampleTest, the_simulator_of_the_example_is_read) {
  const Config config = load_example();
  ASSERT_EQ(config.simulators.size(), 1U);
  EXPECT_EQ(config.simulators[0], (drivers::SimulatorOptions{"sim", 4, 8, 1s}));
}

TEST_F(ConfigExampleTest, the_rules_of_the_example_are_read) {
  rules::RuleOptions hot;
  hot.name = "boiler-hot";
  hot.type = rules::RuleType::threshold;
  hot.tags = {"boiler/temp"};
  hot.raise = {rules::Comparison::greater, 90};
  hot.clear = rules::Condition{rules::Comparison::less, 85};
  hot.raise_after = 10s;
  hot.clear_after = 30s;
  hot.severity = rules::Severity::critical;
  hot.message = "{tag} is {value} {unit}";
  rules::RuleOptions odd;
  odd.name = "vibration-odd";
  odd.type = rules::RuleType::anomaly;
  odd.tags = {"pump-*/vibration"};
  odd.sensitivity = 4.0;
  odd.warmup = 200;
  odd.alpha = 0.05;
  const Config config = load_example();
  ASSERT_EQ(config.rules.size(), 2U);
  EXPECT_EQ(config.rules[0], hot);
  EXPECT_EQ(config.rules[1], odd);
}

TEST_F(ConfigExampleTest, the_uplinks_of_the_example_are_read) {
  uplink::MqttUplinkOptions cloud;
  cloud.forwarder.name = "cloud";
  cloud.forwarder.keeps_order = true;
  cloud.broker.uri = "mqtts://hub.example:8883";
  cloud.broker.client_id = "tidegate-plant-7-out-cloud";
  cloud.topic = "tidegate/{gateway}/{stream}";
  uplink::FileUplinkOptions file;
  file.forwarder.name = "export";
  file.path = "/srv/export/{stream}-{date}.ndjson";
  const Config config = load_example();
  ASSERT_EQ(config.mqtt_uplinks.size(), 1U);
  EXPECT_EQ(config.mqtt_uplinks[0], cloud);
  uplink::HttpUplinkOptions lake;
  lake.forwarder.name = "lake";
  lake.forwarder.dead_letter_after = 5;
  lake.url = "https://ingest.example/v1/{stream}";
  lake.compression = uplink::Compression::gzip;
  ASSERT_EQ(config.http_uplinks.size(), 1U);
  EXPECT_EQ(config.http_uplinks[0], lake);
  ASSERT_EQ(config.file_uplinks.size(), 1U);
  EXPECT_EQ(config.file_uplinks[0], file);
}

// Values that are no defaults, each another one: what goes to the wrong place shows.
TEST_F(ConfigExampleTest, every_key_of_the_buffer_goes_to_its_place) {
  const BufferOptions buffer = load_good(R"(
gateway.data_dir = "data"
[buffer]
size = "11MiB"
alarms_size = "12MiB"
events_size = "13MiB"
segment_size = "2MiB"
memory = "3MiB"
sync = "always"
sync_interval = "40ms"
ack = "written"
)")
                                   .buffer;
  buffer::RingLogOptions ring;
  ring.directory = "data/log";
  ring.size_max_bytes = {11U << 20, 12U << 20, 13U << 20};
  ring.segment_bytes_max = 2U << 20;
  ring.memory_bytes_max = 3U << 20;
  ring.sync = buffer::SyncPolicy::always;
  ring.sync_interval = 40ms;
  EXPECT_EQ(buffer.ring, ring);
  EXPECT_EQ(buffer.ack, AckPolicy::written);
  EXPECT_EQ(load_good("buffer.sync = \"os\"").buffer.ring.sync, buffer::SyncPolicy::os);
}

TEST_F(ConfigExampleTest, every_key_of_an_uplink_goes_to_its_place) {
  write("secret", "word\n");
  const Config config = load_good(R"(
[[uplink.mqtt]]
name = "u"
broker = "mqtt://h:1"
client_id = "c"
username = "n"
password = { file = "secret" }
keep_alive = "31s"
connect_timeout = "32s"
reconnect_most = "33s"
topic = "t"
streams = ["events"]
tags = ["a/*", "b/*"]
inflight = 7
retry_most = "34s"
batch = { max_readings = 5, max_bytes = "6KiB", max_delay = "35s" }
weights = { alarms = 4, live = 5, backlog = 6 }
)");
  uplink::MqttUplinkOptions uplink;
  uplink.forwarder = {.name = "u",
                      .streams = {Stream::events},
                      .tags = {"a/*", "b/*"},
                      .batch_readings_max = 5,
                      .batch_bytes_max = 6 * 1024,
                      .batch_delay_max = 35s,
                      .inflight_max = 7,
                      .keeps_order = true,
                      .retry_most = 34s,
                      .weights = {4, 5, 6}};
  uplink.broker.uri = "mqtt://h:1";
  uplink.broker.client_id = "c";
  uplink.broker.username = "n";
  uplink.broker.password = "word";
  uplink.broker.keep_alive = 31s;
  uplink.broker.connect_timeout = 32s;
  uplink.broker.reconnect_most = 33s;
  uplink.topic = "t";
  EXPECT_EQ(config.mqtt_uplinks.at(0), uplink);
}

TEST_F(ConfigExampleTest, every_key_of_the_drivers_goes_to_its_place) {
  const Config config = load_good(R"(
[[driver.mqtt]]
name = "m"
broker = "mqtt://h"
client_id = "c"
queue_size = "2MiB"
automatic_tags_max = 77
[[driver.mqtt.subscribe]]
topic = "x"
qos = 0
payload = "text"
device = "d"
tag = "t"
unit = "V"
[[driver.mqtt.subscribe]]
topic = "y"
values = { a = "/1", b = "/2" }
time = "/3"
time_unit = "iso8601"
[[driver.modbus]]
name = "b"
url = "rtu:///dev/ttyUSB0?baud=19200&parity=even&stop=1"
timeout = "41ms"
retries = 4
max_gap = 5
backoff_most = "42s"
[[driver.modbus.device]]
name = "d2"
unit = 9
interval = "43s"
tags = [{ name = "t", address = "input:3" }]
)");
  const drivers::MqttDriverOptions& mqtt = config.mqtt_drivers.at(0);
  EXPECT_EQ(mqtt.queue_bytes, 2U << 20);
  EXPECT_EQ(mqtt.automatic_tags_max, 77U);
  drivers::MqttSubscribeOptions first;
  first.topic = "x";
  first.qos = 0;
  first.payload = drivers::PayloadFormat::text;
  first.device = "d";
  first.tag = "t";
  first.unit = "V";
  first.where = mqtt.subscribe.at(0).where;
  EXPECT_EQ(mqtt.subscribe[0], first);
  drivers::MqttSubscribeOptions second;
  second.topic = "y";
  second.values = {{"a", "/1"}, {"b", "/2"}};
  second.time = "/3";
  second.time_unit = drivers::TimeUnit::iso8601;
  second.where = mqtt.subscribe.at(1).where;
  EXPECT_EQ(mqtt.subscribe[1], second);
  const drivers::ModbusBusOptions& bus = config.modbus_buses.at(0);
  EXPECT_EQ(bus.transport, drivers::ModbusTransport::rtu);
  EXPECT_EQ(bus.timeout, 41ms);
  EXPECT_EQ(bus.retries, 4);
  EXPECT_EQ(bus.max_gap, 5);
  EXPECT_EQ(bus.backoff_most, 42s);
  EXPECT_EQ(bus.devices.at(0).unit, 9);
  EXPECT_EQ(bus.devices.at(0).interval, 43s);
}

TEST_F(ConfigExampleTest, every_key_of_a_rule_goes_to_its_place) {
  const Config config = load_good(R"(
[[driver.simulator]]
name = "s"
[[rule]]
name = "r"
type = "anomaly"
tags = ["s-*"]
severity = "info"
sensitivity = 5
warmup = 6
alpha = 0.7
raise_after = "51s"
clear_after = "52s"
message = "x"
)");
  rules::RuleOptions rule;
  rule.name = "r";
  rule.type = rules::RuleType::anomaly;
  rule.tags = {"s-*"};
  rule.severity = rules::Severity::info;
  rule.sensitivity = 5;
  rule.warmup = 6;
  rule.alpha = 0.7;
  rule.raise_after = 51s;
  rule.clear_after = 52s;
  rule.message = "x";
  EXPECT_EQ(config.rules.at(0), rule);
}

TEST_F(ConfigExampleTest, the_example_of_the_service_is_good) {
  const auto loaded = load_config(std::string(TIDEGATE_SOURCE_DIR) + "/systemd/tidegate.example.toml");
  ASSERT_TRUE(loaded) << all(loaded.error());
  EXPECT_EQ(all(loaded->warnings), "");
}

// The structs have defaults of their own; a file that says nothing must not change them.
TEST_F(ConfigExampleTest, the_defaults_of_the_table_are_those_of_the_options) {
  const Config config = load_good(R"(
[gateway]
id = "g"
[[driver.mqtt]]
name = "m"
broker = "mqtt://a"
[[driver.mqtt.subscribe]]
topic = "{tag}"
[[driver.modbus]]
name = "b"
url = "tcp://h"
[[driver.modbus.device]]
name = "d"
tags = [{ name = "t", address = "holding:0" }]
[[driver.simulator]]
name = "s"
[[rule]]
name = "r"
type = "anomaly"
tags = ["x/y"]
[[uplink.mqtt]]
name = "u"
broker = "mqtt://b"
[[uplink.file]]
name = "f"
path = "p"
)");
  ASSERT_EQ(config.mqtt_drivers.size(), 1U);
  drivers::MqttDriverOptions mqtt;
  mqtt.name = "m";
  mqtt.broker.uri = "mqtt://a:1883";
  mqtt.broker.client_id = "tidegate-g-in-m";
  mqtt.subscribe.resize(1);
  mqtt.subscribe[0].topic = "{tag}";
  mqtt.subscribe[0].where = config.mqtt_drivers[0].subscribe[0].where;
  EXPECT_EQ(config.mqtt_drivers[0], mqtt);

  drivers::ModbusBusOptions bus;
  bus.name = "b";
  bus.host = "h";
  bus.devices.resize(1);
  bus.devices[0].name = "d";
  bus.devices[0].tags.resize(1);
  bus.devices[0].tags[0].name = "t";
  EXPECT_EQ(config.modbus_buses.at(0), bus);

  EXPECT_EQ(config.simulators.at(0), (drivers::SimulatorOptions{.name = "s"}));
  rules::RuleOptions rule;
  rule.name = "r";
  rule.type = rules::RuleType::anomaly;
  rule.tags = {"x/y"};
  EXPECT_EQ(config.rules.at(0), rule);

  uplink::MqttUplinkOptions uplink;
  uplink.forwarder.name = "u";
  uplink.forwarder.keeps_order = true;
  uplink.broker.uri = "mqtt://b:1883";
  uplink.broker.client_id = "tidegate-g-out-u";
  EXPECT_EQ(config.mqtt_uplinks.at(0), uplink);
  uplink::FileUplinkOptions file;
  file.forwarder.name = "f";
  file.path = "p";
  EXPECT_EQ(config.file_uplinks.at(0), file);

  buffer::RingLogOptions ring;
  ring.directory = "/var/lib/tidegate/log";
  EXPECT_EQ(config.buffer.ring, ring);
  EXPECT_EQ(config.gateway.runtime_dir, "/var/lib/tidegate/run");
}

}  // namespace
}  // namespace tidegate::daemon
