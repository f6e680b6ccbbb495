// Checks that look at several keys.
#include <gmock/gmock.h>

#include <string>

#include "tests/daemon/config_fixture.h"
#include "tests/support/tls_texts.h"

namespace tidegate::daemon {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::StartsWith;

class ConfigChecksTest : public ConfigTest {
 protected:
  static std::string mqtt_driver(const std::string& subscribe, const std::string& more = "") {
    return "[[driver.mqtt]]\nname = \"m\"\nbroker = \"mqtt://a\"\n" + more + "[[driver.mqtt.subscribe]]\n" + subscribe;
  }
  static std::string bus(const std::string& tags, const std::string& name = "b", const std::string& device = "d") {
    return "[[driver.modbus]]\nname = \"" + name + "\"\nurl = \"tcp://h\"\n[[driver.modbus.device]]\nname = \"" +
           device + "\"\ntags = [\n" + tags + "\n]\n";
  }
  static std::string rule(const std::string& more) { return "[[rule]]\nname = \"r\"\ntags = [\"*\"]\n" + more; }
  static std::string uplink(const std::string& more, const std::string& name = "u") {
    return "[[uplink.mqtt]]\nname = \"" + name + "\"\nbroker = \"mqtt://a\"\n" + more;
  }
  static std::string simulator(const std::string& name, const std::string& more = "") {
    return "[[driver.simulator]]\nname = \"" + name + "\"\n" + more;
  }
};

TEST_F(ConfigChecksTest, a_file_that_says_nothing_is_good) {
  const Config config = load_good("");
  EXPECT_FALSE(config.gateway.id.empty());
  EXPECT_EQ(config.gateway.data_dir, "/var/lib/tidegate");
}

TEST_F(ConfigChecksTest, the_runtime_directory_comes_from_the_service_manager) {
  const ScopedVariable variable("RUNTIME_DIRECTORY", "/run/tidegate:/run/other");
  EXPECT_EQ(load_good("").gateway.runtime_dir, "/run/tidegate");
  EXPECT_EQ(load_good("gateway.runtime_dir = \"x\"").gateway.runtime_dir, "x");
}

TEST_F(ConfigChecksTest, a_full_ring_has_a_policy_and_an_age) {
  const std::string keys = "[buffer]\nwhen_full = \"drop-newest\"\nmax_age = \"30d\"\ncompact = false\n";
  const BufferOptions buffer = load_good(keys + mqtt_driver("topic = \"a/{device}/{tag}\"\n")).buffer;
  EXPECT_EQ(buffer.ring.when_full, buffer::WhenFull::drop_newest);
  EXPECT_EQ(buffer.ring.max_age, std::chrono::hours(24 * 30));
  EXPECT_FALSE(buffer.ring.compact);
  EXPECT_THAT(only_problem("buffer.max_age = \"1s\""), StartsWith("1 buffer.max_age: must be"));
}

TEST_F(ConfigChecksTest, sources_can_be_held_back) {
  const std::string block = "[buffer]\nwhen_full = \"block\"\n";
  for (const std::string& driver : {simulator("s"), mqtt_driver("topic = \"a/{device}/{tag}\"\n")}) {
    EXPECT_EQ(load_good(block + driver).buffer.ring.when_full, buffer::WhenFull::block) << driver;
  }
}

TEST_F(ConfigChecksTest, a_broker_is_acknowledged_as_its_driver_says) {
  const auto driver_of = [this](const std::string& more) {
    return load_good(mqtt_driver("topic = \"a/{device}/{tag}\"\n", more)).mqtt_drivers.at(0);
  };
  EXPECT_EQ(driver_of("").ack, drivers::MessageAck::written);
  EXPECT_EQ(driver_of("").broker.protocol, mqtt::ProtocolVersion::v3_1_1);
  const auto durable = driver_of("ack = \"durable\"\ninflight_max = 7\n");
  EXPECT_EQ(durable.ack, drivers::MessageAck::durable);
  EXPECT_EQ(durable.broker.protocol, mqtt::ProtocolVersion::v5);
  EXPECT_EQ(durable.inflight_max, 7);
  EXPECT_EQ(driver_of("ack = \"durable\"\nprotocol = \"3.1.1\"\n").broker.protocol, mqtt::ProtocolVersion::v3_1_1);
  const auto problem_of = [this](const std::string& more, const std::string& first = "") {
    return only_problem(first + mqtt_driver("topic = \"a/{device}/{tag}\"\n", more));
  };
  EXPECT_THAT(problem_of("protocol = \"5\"\n"), StartsWith("4 driver.mqtt[0].protocol: can be \"5\" only beside ack"));
  EXPECT_THAT(problem_of("inflight_max = 9\n"), StartsWith("4 driver.mqtt[0].inflight_max: is only for ack"));
  EXPECT_THAT(problem_of("ack = \"durable\"\n", "buffer = { sync = \"os\", ack = \"written\" }\n"),
              StartsWith("5 driver.mqtt[0].ack: \"durable\" does not go with buffer.sync \"os\""));
  load_good("buffer.when_full = \"block\"\n" + mqtt_driver("topic = \"{tag}\"\n", "ack = \"durable\"\n"));
}

TEST_F(ConfigChecksTest, qos_2_is_refused_with_what_is_allowed) {
  EXPECT_THAT(only_problem(mqtt_driver("topic = \"{tag}\"\nqos = 2\n", "ack = \"durable\"\n")),
              AllOf(StartsWith("7 driver.mqtt[0].subscribe[0].qos: "), HasSubstr("from 0 to 1"), HasSubstr("2")));
}

TEST_F(ConfigChecksTest, what_nothing_makes_durable_is_not_awaited) {
  EXPECT_THAT(only_problem("[buffer]\nsync = \"os\"\nack = \"durable\"\n"),
              StartsWith("3 buffer.ack: cannot be \"durable\" beside sync = \"os\""));
  EXPECT_EQ(load_good("[buffer]\nsync = \"os\"\nack = \"written\"\n").buffer.ack, AckPolicy::written);
  EXPECT_EQ(load_good("[buffer]\nsync = \"os\"\n").buffer.ring.sync, buffer::SyncPolicy::os);
}

TEST_F(ConfigChecksTest, a_gateway_id_fits_into_a_topic) {
  for (const char* id : {"a b", "a/b", "a+", "#", "a\\\"b", "{a}"}) {
    EXPECT_THAT(only_problem("gateway.id = \"" + std::string(id) + "\""), StartsWith("1 gateway.id: must be a name"));
  }
  EXPECT_EQ(load_good("gateway.id = \"Wärme-7.b\"").gateway.id, "Wärme-7.b");
}

TEST_F(ConfigChecksTest, the_admin_address_has_a_form) {
  for (const char* address : {"127.0.0.1", "127.0.0.1:", ":80", "127.0.0.1:65536", "127.0.0.1:x", "unix:", "::1:80",
                              "127.0.0.1:-1", "127.0.0.1:80 "}) {
    EXPECT_THAT(only_problem("gateway.admin = \"" + std::string(address) + "\""), StartsWith("1 gateway.admin: must"));
  }
  EXPECT_THAT(only_problem("gateway.admin = \"unix:" + std::string(200, 'x') + "\""), HasSubstr("1 to 107 bytes"));
}

TEST_F(ConfigChecksTest, the_admin_address_may_be_loopback_or_a_unix_socket_or_none) {
  using Kind = AdminAddress::Kind;
  const auto admin = [&](const std::string& text) {
    return load_good("gateway.admin = \"" + text + "\"").gateway.admin;
  };
  EXPECT_EQ(admin(""), AdminAddress{});
  EXPECT_EQ(admin("[::1]:0"), (AdminAddress{Kind::tcp, "::1", 0, ""}));
  EXPECT_EQ(admin("127.3.2.1:65535"), (AdminAddress{Kind::tcp, "127.3.2.1", 65535, ""}));
  EXPECT_EQ(admin("localhost:1"), (AdminAddress{Kind::tcp, "localhost", 1, ""}));
  EXPECT_EQ(admin("unix:/run/a.sock"), (AdminAddress{Kind::unix_socket, "", 0, "/run/a.sock"}));
}

TEST_F(ConfigChecksTest, a_broker_is_a_scheme_a_host_and_a_port) {
  const auto uri = [&](const std::string& broker) {
    return load_good("[[uplink.mqtt]]\nname=\"u\"\nbroker = \"" + broker + "\"").mqtt_uplinks.at(0).broker.uri;
  };
  EXPECT_EQ(uri("mqtt://h"), "mqtt://h:1883");
  EXPECT_EQ(uri("mqtts://h"), "mqtts://h:8883");
  EXPECT_EQ(uri("mqtt://h:1"), "mqtt://h:1");
  EXPECT_EQ(uri("mqtt://[::1]:7"), "mqtt://[::1]:7");
  for (const char* broker : {"h:1883", "tcp://h", "mqtt://", "mqtt://:1", "mqtt://h:0", "mqtt://h:65536", "mqtt://h:",
                             "mqtt://h/x", "mqtt://::1", "mqtt://[h]", "mqtt://[::1", "http://h", "mqtt://h:1x"}) {
    EXPECT_THAT(only_problem("[[uplink.mqtt]]\nname=\"u\"\nbroker = \"" + std::string(broker) + "\""),
                StartsWith("3 uplink.mqtt[0].broker: must be \"mqtt://HOST[:PORT]\" or"));
  }
}

TEST_F(ConfigChecksTest, a_login_in_a_brokers_uri_is_refused_and_not_shown) {
  const std::string problem = only_problem("[[uplink.mqtt]]\nname=\"u\"\nbroker = \"mqtt://me:se@cret@h\"");
  EXPECT_THAT(problem, HasSubstr("use the keys username and password"));
  EXPECT_EQ(problem.find("cret"), std::string::npos);
}

TEST_F(ConfigChecksTest, names_are_unique_over_all_kinds_of_drivers) {
  EXPECT_THAT(
      only_problem(simulator("b") + bus(R"({ name = "t", address = "holding:0" })")),
      StartsWith("2 driver.simulator[0].name: driver name \"b\" is already taken by driver.modbus[0].name at "));
}

TEST_F(ConfigChecksTest, names_are_unique_over_all_kinds_of_uplinks) {
  EXPECT_THAT(only_problem(uplink("") + "[[uplink.file]]\nname = \"u\"\npath = \"p\"\n"),
              StartsWith("5 uplink.file[0].name: uplink name \"u\" is already taken by uplink.mqtt[0].name at "));
}

TEST_F(ConfigChecksTest, names_of_rules_are_unique) {
  const std::string one = simulator("s") + rule("type = \"threshold\"\nraise = \"> 1\"\n");
  EXPECT_THAT(only_problem(one + rule("type = \"anomaly\"\n")),
              HasSubstr("rule name \"r\" is already taken by rule[0].name"));
}

TEST_F(ConfigChecksTest, a_driver_and_an_uplink_may_share_a_name) { load_good(simulator("x") + uplink("", "x")); }

TEST_F(ConfigChecksTest, a_tag_has_one_driver) {
  const std::string tag = R"({ name = "t", address = "holding:0" })";
  EXPECT_THAT(only_problem(bus(tag, "one") + bus(tag, "two")),
              StartsWith("15 driver.modbus[1].device[0].tags[0].name: tag \"d/t\" is already taken by "
                         "driver.modbus[0].device[0].tags[0].name at "));
  EXPECT_THAT(only_problem(mqtt_driver("topic = \"x\"\ndevice = \"d\"\ntag = \"t\"\n") + bus(tag)),
              HasSubstr("tag \"d/t\" is already taken by "));
  EXPECT_THAT(only_problem(mqtt_driver("topic = \"x\"\ndevice = \"d\"\nvalues = { t = \"/t\" }\n") + bus(tag)),
              HasSubstr("tag \"d/t\" is already taken by "));
  EXPECT_THAT(only_problem(simulator("s", "devices = 2\ntags = 3\n") +
                           bus(R"({ name = "tag-3", address = "holding:0" })", "b", "s-2")),
              HasSubstr("tag \"s-2/tag-3\" is already taken by "));
}

TEST_F(ConfigChecksTest, two_subscriptions_of_a_driver_may_make_the_same_tag) {
  load_good(mqtt_driver("topic = \"x\"\ntag = \"t\"\n[[driver.mqtt.subscribe]]\ntopic = \"y\"\ntag = \"t\"\n"));
}

TEST_F(ConfigChecksTest, two_tags_of_a_device_have_two_names) {
  EXPECT_THAT(
      only_problem(bus("{ name = \"t\", address = \"holding:0\" },\n{ name = \"t\", address = \"holding:1\" }")),
      StartsWith("8 driver.modbus[0].device[0].tags[1].name: tag of driver.modbus[0].device[0] \"t\" is already"));
}

TEST_F(ConfigChecksTest, two_devices_of_a_bus_have_two_names) {
  const std::string tags = "tags = [{ name = \"t\", address = \"holding:0\" }]\n";
  const auto problems = load_bad(
      "[[driver.modbus]]\nname = \"b\"\nurl = \"tcp://h\"\n"
      "[[driver.modbus.device]]\nname = \"d\"\nunit = 1\n" +
      tags + "[[driver.modbus.device]]\nname = \"d\"\nunit = 2\n" + tags);
  ASSERT_EQ(problems.size(), 1U) << all(problems);
  EXPECT_EQ(problems[0].key, "driver.modbus[0].device[1].name");
}

TEST_F(ConfigChecksTest, two_devices_with_one_unit_are_odd) {
  const std::string tags = "tags = [{ name = \"t\", address = \"holding:0\" }]\n";
  EXPECT_THAT(only_warning("[[driver.modbus]]\nname = \"b\"\nurl = \"tcp://h\"\n"
                           "[[driver.modbus.device]]\nname = \"d\"\nunit = 1\n" +
                           tags + "[[driver.modbus.device]]\nname = \"e\"\nunit = 1\n" + tags),
              StartsWith("10 driver.modbus[0].device[1].unit: is also that of \"d\""));
}

TEST_F(ConfigChecksTest, a_unit_fits_the_kind_of_bus) {
  const auto with_unit = [](const std::string& url, int unit) {
    return "[[driver.modbus]]\nname = \"b\"\nurl = \"" + url +
           "\"\n[[driver.modbus.device]]\nname = \"d\"\nunit = " + std::to_string(unit) +
           "\ntags = [{ name = \"t\", address = \"holding:0\" }]\n";
  };
  for (const int unit : {0, 255}) load_good(with_unit("tcp://h", unit));
  for (const int unit : {1, 247}) load_good(with_unit("rtu:///dev/ttyUSB0?baud=19200", unit));
  for (const int unit : {0, 248, 255}) {
    EXPECT_EQ(only_problem(with_unit("rtu:///dev/ttyUSB0?baud=19200", unit)),
              "6 driver.modbus[0].device[0].unit: must be 1 to 247 on a serial line, found " + std::to_string(unit));
  }
}

TEST_F(ConfigChecksTest, rtu_over_tcp_is_of_a_later_version) {
  EXPECT_THAT(only_problem("[[driver.modbus]]\nname = \"b\"\nurl = \"rtu+tcp://h:502\"\n[[driver.modbus.device]]\n"
                           "name = \"d\"\ntags = [{ name = \"t\", address = \"holding:0\" }]\n"),
              AllOf(StartsWith("3 driver.modbus[0].url: "), HasSubstr("use tcp://")));
}

struct TagCase {
  std::string tag;      // more keys of the tag
  std::string key;      // the key that is wrong
  std::string message;  // what is said of it
};

TEST_F(ConfigChecksTest, keys_of_a_modbus_tag_fit_each_other) {
  const TagCase cases[] = {
      {"address = \"holding:65535\", type = \"float32\"", "address", "the last at 65536"},
      {"address = \"holding:65533\", type = \"float64\"", "address", "the last at 65536"},
      {"address = \"holding:65535\", type = \"string(3)\"", "address", "takes 2 registers"},
      {"address = \"holding:65536\"", "address", ""},
      {"address = \"holding\"", "address", ""},
      {"address = \"49999999\"", "address", ""},
      {"address = \"holding:1\", type = \"float16\"", "type", "float16"},
      {"address = \"holding:1\", type = \"string(0)\"", "type", ""},
      {"address = \"holding:1\", type = \"string\"", "type", ""},
      {"address = \"coil:1\", type = \"uint16\"", "type", "must be \"bool\""},
      {"address = \"discrete:1\", bit = 3", "bit", "is for registers"},
      {"address = \"coil:1\", order = \"CDAB\"", "order", "is for registers"},
      {"address = \"coil:1\", scale = 2", "scale", "this tag is a bool"},
      {"address = \"holding:1\", bit = 3, deadband = 2", "deadband", "this tag is a bool"},
      {"address = \"holding:1\", type = \"float32\", bit = 3", "bit", "needs type \"uint16\" or \"int16\""},
      {"address = \"holding:1\", type = \"string(4)\", min = 3", "min", "this tag is text"},
      {"address = \"holding:1\", type = \"string(4)\", order = \"CDAB\"", "order", "\"ABCD\" or \"BADC\""},
      {"address = \"holding:1\", order = \"ACBD\"", "order", "ACBD"},
      {"address = \"holding:1\", scale = 0", "scale", "must not be 0"},
      {"address = \"holding:1\", min = 2, max = 1", "min", "found min 2 and max 1"},
  };
  for (const TagCase& each : cases) {
    SCOPED_TRACE(each.tag);
    const std::string problem = only_problem(bus("{ name = \"t\", " + each.tag + " }"));
    EXPECT_THAT(problem, StartsWith("7 driver.modbus[0].device[0].tags[0]." + each.key + ": "));
    EXPECT_THAT(problem, HasSubstr(each.message));
  }
  load_good(bus(R"({ name = "t", address = "holding:65534", type = "float32", min = 1, max = 1, order = "DCBA" })"));
  load_good(bus(R"({ name = "t", address = "input:65535", type = "int16", bit = 15 })"));
}

TEST_F(ConfigChecksTest, the_longest_pause_of_a_bus_is_no_shorter_than_its_timeout) {
  EXPECT_THAT(
      only_problem("[[driver.modbus]]\nname = \"b\"\nurl = \"tcp://h\"\ntimeout = \"2s\"\nbackoff_most = \"1s\"\n"
                   "[[driver.modbus.device]]\nname = \"d\"\ntags = [{ name = \"t\", address = \"coil:0\" }]\n"),
      StartsWith("5 driver.modbus[0].backoff_most: must be at least the timeout"));
}

TEST_F(ConfigChecksTest, a_bus_has_a_device_and_a_device_has_a_tag) {
  EXPECT_EQ(only_problem("[[driver.modbus]]\nname = \"b\"\nurl = \"tcp://h\"\n"),
            "1 driver.modbus[0].device: is missing; there must be at least one [[driver.modbus.device]]");
  EXPECT_THAT(only_problem(bus("")), HasSubstr("[[driver.modbus.device.tags]], found an empty array"));
}

TEST_F(ConfigChecksTest, something_names_the_tag_of_a_subscription) {
  EXPECT_THAT(only_problem(mqtt_driver("topic = \"x/{device}\"\n")),
              StartsWith("5 driver.mqtt[0].subscribe[0].topic: has no {tag}"));
  for (const char* source :
       {"topic = \"{tag}\"", "topic = \"{tag...}\"", "topic = \"x\"\ntag = \"t\"", "topic = \"x\"\nvalues = \"*\"",
        "topic = \"x\"\nvalues = { a = \"/a\" }", "topic = \"x\"\neach = \"/r\"\ntag = \"/n\"\ndevice = \"/d\"",
        "topic = \"x\"\nvalue = \"/o\"\nvalues = \"*\"", "topic = \"{tag}\"\nvalues = { a = \"/a\" }"}) {
    SCOPED_TRACE(source);
    load_good(mqtt_driver(std::string(source) + "\n"));
  }
}

TEST_F(ConfigChecksTest, keys_of_a_subscription_fit_each_other) {
  const TagCase cases[] = {
      {"topic = \"{tag}\"\ntag = \"t\"", "tag", "is already the {tag} of the topic"},
      {"topic = \"{device}/{tag}\"\ndevice = \"t\"", "device", "is already the {device} of the topic"},
      {"topic = \"x\"\nvalue = \"/v\"\nvalues = { a = \"/a\" }", "values", "cannot stand beside \"value\""},
      {"topic = \"{tag}\"\ntime_unit = \"s\"", "time_unit", "needs the key \"time\""},
      {"topic = \"{tag}\"\npayload = \"number\"\nvalue = \"/v\"", "value", "is only for payload \"json\" or \"csv\""},
      {"topic = \"x\"\npayload = \"text\"\nvalues = \"*\"", "values", "is only for payload \"json\" or \"csv\""},
      {"topic = \"{tag}\"\npayload = \"text\"\neach = \"/e\"", "each", "is only for payload \"json\""},
      {"topic = \"{tag}\"\npayload = \"text\"\ntime = \"/e\"", "time", "is only for payload \"json\" or \"csv\""},
      {"topic = \"{tag}\"\npayload = \"csv\"", "value", "is a column, the first one \"/0\""},
      {"topic = \"{tag}\"\npayload = \"csv\"\nvalue = \"/0/1\"", "value", "is a column"},
      {"topic = \"{tag}\"\npayload = \"csv\"\nvalue = \"/01\"", "value", "is a column"},
      {"topic = \"{tag}\"\npayload = \"csv\"\nvalue = \"/65536\"", "value", "is a column"},
      {"topic = \"x\"\npayload = \"csv\"\nvalues = { a = \"/a\" }", "values", "is a column"},
      {"topic = \"x\"\npayload = \"csv\"\nvalues = \"*\"", "values", "cannot be \"*\""},
      {"topic = \"{tag}\"\npayload = \"csv\"\nvalue = \"/0\"\ntime = \"/t\"", "time", "is a column"},
      {"topic = \"{tag}\"\npayload = \"csv\"\nvalue = \"/0\"\neach = \"/1\"", "each", "is only for payload"},
      {"topic = \"x\"\ntag = \"/t\"", "tag", ""},
      {"topic = \"x\"\ntag = \"a+b\"", "tag", ""},
      {"topic = \"x/+/{tag}\"", "topic", ""},
      {"topic = \"x/{tag\"", "topic", ""},
      {"topic = \"{tag}/{tag}\"", "topic", ""},
      {"topic = \"{tag...}/x\"", "topic", ""},
      {"topic = \"{tag}\"\nvalue = \"v\"", "value", ""},
      {"topic = \"{tag}\"\nvalue = \"/~2\"", "value", ""},
  };
  for (const TagCase& each : cases) {
    SCOPED_TRACE(each.tag);
    const std::string problem = only_problem(mqtt_driver(each.tag + "\n"));
    EXPECT_THAT(problem, HasSubstr(" driver.mqtt[0].subscribe[0]." + each.key + ": "));
    EXPECT_THAT(problem, HasSubstr(each.message));
  }
}

TEST_F(ConfigChecksTest, a_sparkplug_subscription_is_a_filter_and_takes_no_names) {
  for (const char* topic : {"spBv1.0/#", "spBv1.0/plant/#", "spBv1.0/plant/+/gate/#"}) {
    const Config config = load_good(mqtt_driver("payload = \"sparkplug\"\ntopic = \"" + std::string(topic) + "\"\n"));
    EXPECT_EQ(config.mqtt_drivers.at(0).subscribe.at(0).payload, drivers::PayloadFormat::sparkplug);
  }
  for (const char* topic : {"spBv1.0/{device}/{tag}", "plant/#", "spBv1.0/plant/NDATA/#"}) {
    EXPECT_THAT(only_problem(mqtt_driver("payload = \"sparkplug\"\ntopic = \"" + std::string(topic) + "\"\n")),
                HasSubstr("with payload \"sparkplug\" it is a filter"));
  }
  for (const char* key : {"device = \"d\"", "tag = \"t\"", "unit = \"m\"", "value = \"/v\"", "values = \"*\"",
                          "each = \"/e\"", "time = \"/t\""}) {
    EXPECT_THAT(only_problem(mqtt_driver("payload = \"sparkplug\"\ntopic = \"spBv1.0/#\"\n" + std::string(key) + "\n")),
                HasSubstr("cannot stand beside payload \"sparkplug\""));
  }
}

TEST_F(ConfigChecksTest, two_clients_of_a_broker_have_two_ids) {
  EXPECT_THAT(only_problem(uplink("client_id = \"c\"\n", "one") + uplink("client_id = \"c\"\n", "two")),
              HasSubstr("8 uplink.mqtt[1].client_id: client id at broker a:1883 \"c\" is already taken by "
                        "uplink.mqtt[0].client_id at "));
  EXPECT_THAT(
      only_problem(mqtt_driver("topic = \"{tag}\"\n", "client_id = \"c\"\n") + uplink("client_id = \"c\"\n")),
      HasSubstr("uplink.mqtt[0].client_id: client id at broker a:1883 \"c\" is already taken by driver.mqtt[0]"));
  EXPECT_THAT(only_problem("[[uplink.mqtt]]\nname = \"x\"\nclient_id = \"c\"\nbroker = \"mqtt://localhost\"\n"
                           "[[uplink.mqtt]]\nname = \"y\"\nclient_id = \"c\"\nbroker = \"mqtt://127.0.0.1:1883\"\n"),
              HasSubstr("127.0.0.1:1883"));
}

TEST_F(ConfigChecksTest, default_client_ids_differ) {
  const Config config =
      load_good("gateway.id = \"g\"\n" + mqtt_driver("topic = \"{tag}\"\n") + uplink("", "m") + uplink("", "n"));
  EXPECT_EQ(config.mqtt_drivers.at(0).broker.client_id, "tidegate-g-in-m");
  EXPECT_EQ(config.mqtt_uplinks.at(0).broker.client_id, "tidegate-g-out-m");
  EXPECT_EQ(config.mqtt_uplinks.at(1).broker.client_id, "tidegate-g-out-n");
}

TEST_F(ConfigChecksTest, the_same_client_id_at_two_brokers_is_good) {
  load_good(uplink("client_id = \"c\"\n", "one") +
            "[[uplink.mqtt]]\nname = \"two\"\nbroker = \"mqtt://a:1884\"\nclient_id = \"c\"\n");
}

TEST_F(ConfigChecksTest, values_have_units_by_their_names) {
  const std::string values = "topic = \"p/{device}\"\nvalues = { temp = \"/t\", hum = \"/h\" }\n";
  const Config config = load_good(mqtt_driver(values + "unit = \"V\"\nunits = { temp = \"°C\", hum = \"%\" }\n"));
  const std::vector<std::pair<std::string, std::string>> units{{"hum", "%"}, {"temp", "°C"}};
  EXPECT_EQ(config.mqtt_drivers.at(0).subscribe.at(0).units, units);
  EXPECT_THAT(only_problem(mqtt_driver(values + "units = { tmp = \"°C\" }\n")),
              HasSubstr("units: has a unit for \"tmp\", which is none of the names in \"values\""));
  EXPECT_THAT(only_problem(mqtt_driver(values + "units = { temp = 1 }\n")), HasSubstr("a table of names and units"));
  EXPECT_THAT(only_problem(mqtt_driver(values + "units = \"°C\"\n")), HasSubstr("a table of names and units"));
  const std::string csv = "payload = \"csv\"\ntopic = \"p/{device}\"\nvalues = { temp = \"/0\" }\n";
  load_good(mqtt_driver(csv + "units = { temp = \"°C\" }\n"));
  EXPECT_THAT(only_problem(mqtt_driver(csv + "units = { hum = \"%\" }\n")), HasSubstr("a unit for \"hum\""));
}

TEST_F(ConfigChecksTest, tags_have_units_by_their_names_where_messages_name_them) {
  const std::string units = "units = { temp = \"°C\" }\n";
  load_good(mqtt_driver("topic = \"p/{device}/{tag}\"\npayload = \"number\"\n" + units));
  load_good(mqtt_driver("topic = \"p/{device}\"\nvalues = \"*\"\n" + units));
  load_good(mqtt_driver("topic = \"p\"\neach = \"/r\"\ntag = \"/n\"\nvalue = \"/v\"\n" + units));
  EXPECT_THAT(only_problem(mqtt_driver("topic = \"p\"\ntag = \"temp\"\n" + units)), HasSubstr("use \"unit\""));
  EXPECT_THAT(only_problem(mqtt_driver("topic = \"spBv1.0/#\"\npayload = \"sparkplug\"\n" + units)),
              HasSubstr("whose messages say it"));
}

TEST_F(ConfigChecksTest, a_subscription_may_be_shared_with_either_ack) {
  for (const char* ack : {"", "ack = \"durable\"\n", "ack = \"durable\"\nprotocol = \"3.1.1\"\n"}) {
    const Config config = load_good(mqtt_driver("topic = \"$share/hall/plant/{device}/{tag}\"\n", ack));
    EXPECT_EQ(all(config.warnings), "") << ack;
    EXPECT_EQ(config.mqtt_drivers.at(0).subscribe.at(0).topic, "$share/hall/plant/{device}/{tag}");
  }
  EXPECT_THAT(only_problem(mqtt_driver("topic = \"$share//plant/{tag}\"\n")), HasSubstr("one character at the least"));
  EXPECT_THAT(only_problem(mqtt_driver("topic = \"$share/hall/spBv1.0/#\"\npayload = \"sparkplug\"\n")),
              HasSubstr("it cannot be shared: a gateway has to see the birth"));
}

TEST_F(ConfigChecksTest, topics_of_a_shared_subscription_that_come_twice_are_odd) {
  const std::string more = "[[driver.mqtt.subscribe]]\ntopic = ";
  const std::string shared = "topic = \"$share/hall/plant/{device}/{tag}\"\n" + more;
  for (const char* other : {"\"plant/{tag...}\"\n", "\"$share/hall/plant/{device}/x\"\ntag = \"x\"\n",
                            "\"$share/other/plant/{device}/{tag}\"\n"}) {
    EXPECT_THAT(only_warning(mqtt_driver(shared + other)), HasSubstr("has topics in common with \"$share/hall/plant/"))
        << other;
  }
  for (const char* other : {"\"$share/hall/plant/{device}/{tag}\"\nvalue = \"/b\"\n", "\"hall/{tag...}\"\n"}) {
    EXPECT_EQ(all(load_good(mqtt_driver(shared + other)).warnings), "") << other;
  }
}

TEST_F(ConfigChecksTest, an_uplink_that_would_feed_a_driver_is_odd) {
  EXPECT_THAT(only_warning(mqtt_driver("topic = \"tidegate/{device}/{tag}\"\n") + uplink("")),
              HasSubstr("uplink.mqtt[0].topic: is subscribed to by the driver \"m\" on the same broker"));
  EXPECT_THAT(only_warning(mqtt_driver("topic = \"{tag...}\"\n") + uplink("")), HasSubstr("would come in again"));
  EXPECT_EQ(all(load_good(mqtt_driver("topic = \"plant/{tag...}\"\n") + uplink("")).warnings), "");
}

TEST_F(ConfigChecksTest, tls_is_for_mqtts) {
  write("ca.pem", "x");
  EXPECT_THAT(only_problem(uplink("tls = { ca = \"ca.pem\" }\n")),
              StartsWith("4 uplink.mqtt[0].tls: is only for a broker with \"mqtts://\", found \"mqtt://a\""));
}

TEST_F(ConfigChecksTest, a_certificate_has_a_key_and_a_key_a_certificate) {
  for (const char* name : {"ca.pem", "c.pem"}) write(name, testing::tls_texts().certificate);
  write("c.key", testing::tls_texts().key);
  const std::string secure = "[[uplink.mqtt]]\nname = \"u\"\nbroker = \"mqtts://a\"\n";
  EXPECT_EQ(only_problem(secure + "tls.cert = \"c.pem\"\n"),
            "4 uplink.mqtt[0].tls.cert: needs the key \"key\" beside it");
  EXPECT_EQ(only_problem(secure + "tls.key = \"c.key\"\n"),
            "4 uplink.mqtt[0].tls.key: needs the key \"cert\" beside it");
  const Config config = load_good(secure + "tls = { ca = \"ca.pem\", cert = \"c.pem\", key = { file = \"c.key\" } }\n");
  const mqtt::TlsOptions& tls = config.mqtt_uplinks.at(0).broker.tls;
  EXPECT_EQ(tls.ca_file, path("ca.pem"));
  EXPECT_EQ(tls.cert_file, path("c.pem"));
  EXPECT_EQ(tls.key_file, path("c.key"));
  EXPECT_TRUE(tls.verify);
}

TEST_F(ConfigChecksTest, every_file_that_tls_cannot_use_is_named_at_its_key) {
  const auto& pem = testing::tls_texts();
  write("good.pem", pem.certificate);
  write("good.key", pem.key);
  write("other.key", pem.other_key);
  write("torn.pem", pem.certificate.substr(0, pem.certificate.size() / 2));
  write("none", "x\n");
  const std::string all_wrong =
      "[[uplink.mqtt]]\nname = \"u\"\nbroker = \"mqtts://a\"\n"
      "tls.ca = \"none\"\ntls.cert = \"torn.pem\"\ntls.key = { file = \"good.pem\" }\n"
      "[[driver.mqtt_listener]]\nname = \"l\"\nlisten = \"127.0.0.1:1883\"\n[driver.mqtt_listener.tls]\n"
      "cert = \"good.pem\"\nkey = \"other.key\"\nca = \"absent.pem\"\n"
      "[[driver.mqtt_listener.subscribe]]\ntopic = \"{device}/{tag}\"\n";
  std::string found;
  for (const Problem& problem : load_bad(all_wrong)) found += short_form(problem) + "\n";
  const auto has = [&](const std::string& line) { EXPECT_THAT(found, HasSubstr(line)); };
  has("4 uplink.mqtt[0].tls.ca: " + path("none") + " holds no certificates of authorities in PEM (");
  has("5 uplink.mqtt[0].tls.cert: " + path("torn.pem") + " holds no certificate in PEM that can be used (");
  has("6 uplink.mqtt[0].tls.key: " + path("good.pem") + " holds no private key in PEM without a passphrase (");
  has("12 driver.mqtt_listener[0].tls.key: " + path("other.key") + " is not the key of the certificate in ");
  has("13 driver.mqtt_listener[0].tls.ca: cannot open " + path("absent.pem"));
  EXPECT_EQ(std::count(found.begin(), found.end(), '\n'), 5) << found;
  EXPECT_THAT(found, ::testing::Not(HasSubstr("BEGIN"))) << "nothing of a key is shown";
}

TEST_F(ConfigChecksTest, a_certificate_that_is_not_checked_is_odd) {
  const std::string text =
      "[[uplink.mqtt]]\nname = \"u\"\nbroker = \"mqtts://a\"\n"
      "tls.insecure_skip_verification_i_know_what_i_do = true\n";
  EXPECT_THAT(only_warning(text), HasSubstr("the broker's certificate is not checked"));
  EXPECT_FALSE(load_good(text).mqtt_uplinks.at(0).broker.tls.verify);
}

TEST_F(ConfigChecksTest, a_password_needs_a_user_name) {
  write("p", "x");
  EXPECT_EQ(only_problem(uplink("password = { file = \"p\" }\n")),
            "4 uplink.mqtt[0].password: needs the key \"username\" beside it");
}

TEST_F(ConfigChecksTest, clear_does_not_hold_while_raise_does) {
  const auto levels = [&](const std::string& raise, const std::string& clear) {
    return simulator("s") + rule("type = \"threshold\"\nraise = \"" + raise + "\"\nclear = \"" + clear + "\"\n");
  };
  const std::pair<const char*, const char*> good[] = {{"> 90", "< 85"}, {"> 90", "<= 90"}, {">= 90", "< 90"},
                                                      {"< 5", "> 6"},   {"<= 5", "> 5"},   {"== 1", "!= 1"},
                                                      {"== 1", "== 0"}, {"!= 0", "== 0"},  {"> 1", "== 1"}};
  for (const auto& [raise, clear] : good) load_good(levels(raise, clear));
  const std::pair<const char*, const char*> bad[] = {{"> 90", "< 95"},      {"> 90", "> 85"},      {">= 90", "<= 90"},
                                                     {"< 5", "> 4"},        {"<= 5", "<= 4"},      {"== 1", "== 1"},
                                                     {"== 1", "> 0"},       {"!= 0", "!= 1"},      {"> 1", "== 2"},
                                                     {"> 90", "< 90.0001"}, {"> 1e300", "< 2e300"}};
  for (const auto& [raise, clear] : bad) {
    EXPECT_THAT(only_problem(levels(raise, clear)), StartsWith("8 rule[0].clear: must not hold while raise does"))
        << raise << " and " << clear;
  }
}

TEST_F(ConfigChecksTest, a_rule_has_the_keys_of_its_type) {
  const std::string sim = simulator("s");
  EXPECT_EQ(only_problem(sim + rule("type = \"threshold\"\n")),
            "3 rule[0].raise: is missing; a rule of type \"threshold\" needs it, such as \"> 90\"");
  EXPECT_EQ(only_problem(sim + rule("type = \"threshold\"\nraise = \"> 1\"\nwarmup = 5\n")),
            "8 rule[0].warmup: is for rules of type \"anomaly\", found type \"threshold\"");
  EXPECT_EQ(only_problem(sim + rule("type = \"anomaly\"\nraise = \"> 1\"\n")),
            "7 rule[0].raise: is for rules of type \"threshold\", found type \"anomaly\"");
  EXPECT_THAT(only_problem(sim + rule("type = \"threshold\"\nraise = \"90\"\n")), StartsWith("7 rule[0].raise: "));
}

TEST_F(ConfigChecksTest, a_rule_of_a_later_type_is_one_error) {
  EXPECT_EQ(
      only_problem("[[rule]]\nname = \"f\"\ntype = \"expression\"\ninputs = { a = \"x/y\" }\nraise = \"abs(a) > 1\"\n"
                   "window = { kind = \"tumbling\" }\n"),
      "3 rule[0].type: \"expression\" is not available in this version; use \"threshold\" or \"anomaly\"");
}

TEST_F(ConfigChecksTest, a_message_has_known_placeholders) {
  const std::string start = "type = \"anomaly\"\nmessage = ";
  EXPECT_THAT(only_problem(simulator("s") + rule(start + "\"{vlaue}\"\n")),
              HasSubstr("unknown placeholder {vlaue}; did you mean {value}?"));
  EXPECT_THAT(only_problem(simulator("s") + rule(start + "\"{value\"\n")),
              HasSubstr("has a brace without its other one"));
  load_good(simulator("s") + rule(start + "\"{rule} {tag} {value} {unit} {severity}\"\n"));
}

TEST_F(ConfigChecksTest, a_glob_that_matches_no_tag_is_odd) {
  const std::string idle = "[[rule]]\nname = \"r\"\ntype = \"anomaly\"\ntags = [\"s-1/*\", \"boiler/temp\"]\n";
  EXPECT_EQ(only_warning(simulator("s") + idle), "6 rule[0].tags: \"boiler/temp\" matches no tag of any driver");
  // A driver that makes tags of what arrives may make this one.
  EXPECT_EQ(all(load_good(simulator("s") + mqtt_driver("topic = \"{device}/{tag}\"\n") + idle).warnings), "");
}

TEST_F(ConfigChecksTest, a_topic_to_publish_to_is_a_topic) {
  EXPECT_THAT(only_problem(uplink("topic = \"a/{steam}\"\n")),
              HasSubstr("has the unknown placeholder {steam}; did you mean {stream}?"));
  for (const char* topic : {"a/+", "a/#", "$SYS/a", "a/{stream", "a/stream}", "{{stream}}"}) {
    EXPECT_THAT(only_problem(uplink("topic = \"" + std::string(topic) + "\"\n")),
                StartsWith("4 uplink.mqtt[0].topic: "));
  }
}

TEST_F(ConfigChecksTest, the_path_of_a_file_uplink_has_known_placeholders) {
  const auto file = [](const std::string& name, const std::string& path) {
    return "[[uplink.file]]\nname = \"" + name + "\"\npath = \"" + path + "\"\n";
  };
  EXPECT_THAT(only_problem(file("f", "{tag}.x")), HasSubstr("allowed are {gateway}, {stream}, {date}"));
  EXPECT_THAT(only_problem(file("f", "x") + file("g", "x")), HasSubstr("two uplinks cannot write to one file"));
}

TEST_F(ConfigChecksTest, a_file_by_another_name_is_one_file_too) {
  const auto file = [](const std::string& name, const std::string& path, const std::string& more = "") {
    return "[[uplink.file]]\nname = \"" + name + "\"\npath = \"" + path + "\"\n" + more;
  };
  for (const char* other : {"./x", "x/../x", ".//x"}) {
    EXPECT_THAT(only_problem(file("f", "x") + file("g", other)), HasSubstr("two uplinks cannot write to one file"));
  }
  EXPECT_THAT(only_problem(file("f", "/d/{stream}.x") + file("g", "/d/alarms.x")), HasSubstr("to one file"));
  EXPECT_THAT(only_problem(file("f", "/d/{stream}.x") + file("g", "/d//{stream}.x")), HasSubstr("to one file"));
  const std::string readings = "streams = [\"readings\"]\n";
  EXPECT_EQ(load_good(file("f", "/d/{stream}.x", readings) + file("g", "/d/alarms.x")).file_uplinks.size(), 2U);
  EXPECT_EQ(load_good(file("f", "/d/{date}.x") + file("g", "/d/{gateway}.x")).file_uplinks.size(), 2U);
}

TEST_F(ConfigChecksTest, streams_are_known_and_named_once) {
  const Config config = load_good(uplink("streams = [\"events\", \"readings\"]\n"));
  EXPECT_EQ(config.mqtt_uplinks.at(0).forwarder.streams, (std::vector<Stream>{Stream::events, Stream::readings}));
  EXPECT_THAT(only_problem(uplink("streams = [\"events\", \"events\"]\n")), HasSubstr("names \"events\" twice"));
  EXPECT_THAT(only_problem(uplink("streams = [\"reading\"]\n")), HasSubstr("did you mean \"readings\"?"));
}

TEST_F(ConfigChecksTest, an_average_that_forgets_everything_is_none) {
  const std::string rule = "[[rule]]\nname = \"odd\"\ntype = \"anomaly\"\ntags = [\"*\"]\nalpha = ";
  EXPECT_THAT(only_problem(rule + "1\n"), HasSubstr("from 0.001 to 0.99"));
  EXPECT_EQ(load_good(rule + "0.99\n").rules.at(0).alpha, 0.99);
}

TEST_F(ConfigChecksTest, a_glob_that_no_tag_can_match_is_wrong) {
  const std::string rule = "[[rule]]\nname = \"hot\"\ntype = \"threshold\"\nraise = \"> 90\"\ntags = ";
  EXPECT_THAT(only_problem(rule + "[\"*\", \"temp\"]\n"), HasSubstr("globs over \"device/tag\""));
  const std::string uplink = "[[uplink.file]]\nname = \"f\"\npath = \"/tmp/{stream}\"\ntags = ";
  EXPECT_THAT(only_problem(uplink + "[\"boiler\"]\n"), HasSubstr("found \"boiler\""));
  load_good(uplink + "[\"boiler/*\", \"pump-*\", \"*\", \"a?/b\"]\n");
}

}  // namespace
}  // namespace tidegate::daemon
