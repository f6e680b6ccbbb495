#include <gmock/gmock.h>
#include <sys/stat.h>
#include <unistd.h>

#include <chrono>
#include <utility>
#include <vector>

#include "daemon/config/files.h"
#include "tests/daemon/config_fixture.h"

namespace tidegate::daemon {
namespace {

using ::testing::EndsWith;
using ::testing::HasSubstr;
using ::testing::StartsWith;

class ConfigUplinkTest : public ConfigTest {};

TEST_F(ConfigUplinkTest, rates_are_numbers_of_readings_a_second) {
  const std::string uplink = "[[uplink.file]]\nname = \"f\"\npath = \"p\"\nbackfill_rate = ";
  for (const auto& [text, rate] : {std::pair("5000/s", 5000.0), {"0.5/s", 0.5}, {"0.1/s", 0.1}, {"1000000/s", 1e6}}) {
    const auto configuration = load_good(uplink + "\"" + text + "\"\n");
    EXPECT_EQ(configuration.file_uplinks.at(0).forwarder.backfill_rate, rate) << text;
  }
  for (const char* text : {"5000", "/s", "s", "0/s", "0.09/s", "1000001/s", "-1/s", "nan/s", "1e3/s", "5 /s", "5/m",
                           "5/s ", "5/ss", "+5/s", "1/s/s", "5,0/s"}) {
    const auto problems = load_bad(uplink + "\"" + text + "\"\n");
    EXPECT_NE(all(problems).find("must be a rate from \"0.1/s\" to \"1000000/s\", found \"" + std::string(text) + "\""),
              std::string::npos)
        << all(problems);
  }
}

TEST_F(ConfigUplinkTest, no_lane_can_be_without_weight) {
  const std::string uplink = "[[uplink.file]]\nname = \"f\"\npath = \"p\"\nweights = ";
  const auto weights = load_good(uplink + "{ backlog = 3 }\n").file_uplinks.at(0).forwarder.weights;
  EXPECT_EQ(weights, (uplink::LaneWeights{28, 3, 3})) << "the others have their defaults";
  EXPECT_EQ(load_good(uplink + "{ alarms = 1, live = 1000 }\n").file_uplinks.at(0).forwarder.weights,
            (uplink::LaneWeights{1, 1000, 1}));
  EXPECT_EQ(only_problem(uplink + "{ backlog = 0 }\n"),
            "4 uplink.file[0].weights.backlog: must be an integer from 1 to 1000, found 0");
  EXPECT_EQ(only_problem(uplink + "{ alarms = 1001 }\n"),
            "4 uplink.file[0].weights.alarms: must be an integer from 1 to 1000, found 1001");
  EXPECT_EQ(only_problem(uplink + "{ live = -1 }\n"),
            "4 uplink.file[0].weights.live: must be an integer from 1 to 1000, found -1");
}

TEST_F(ConfigUplinkTest, windows_are_parts_of_a_day) {
  const std::string uplink = "[[uplink.file]]\nname = \"f\"\npath = \"p\"\nalarms_always = false\nwindows = ";
  const auto forwarder = load_good(uplink + "[\"22:00-06:00\", \"12:00-12:30\"]\n").file_uplinks.at(0).forwarder;
  using std::chrono::hours;
  using std::chrono::minutes;
  EXPECT_EQ(forwarder.windows,
            (std::vector<uplink::SendingWindow>{{hours(22), hours(6)}, {hours(12), hours(12) + minutes(30)}}));
  EXPECT_FALSE(forwarder.alarms_always);
  EXPECT_EQ(only_problem(uplink + "[\"22-6\"]\n"),
            "5 uplink.file[0].windows: must be parts of a day in UTC as \"22:00-06:00\", found \"22-6\"");
}

class ConfigFileUplinkTest : public ConfigTest {
 protected:
  static std::string uplink(const std::string& path, const std::string& lines) {
    return "[[uplink.file]]\nname = \"f\"\npath = \"" + path + "\"\n" + lines;
  }
};

TEST_F(ConfigFileUplinkTest, csv_is_read) {
  const auto file =
      load_good(uplink("{stream}-{date}.csv", "format = \"csv\"\nspreadsheet_safe = true\npart_suffix = \".part\"\n"))
          .file_uplinks.at(0);
  EXPECT_EQ(file.format, uplink::FileFormat::csv);
  EXPECT_TRUE(file.spreadsheet_safe);
  EXPECT_EQ(file.part_suffix, ".part");
  EXPECT_EQ(load_good(uplink("x.csv", "format = \"csv\"\nstreams = [\"alarms\"]\n")).file_uplinks.size(), 1U);
}

TEST_F(ConfigFileUplinkTest, streams_of_different_columns_do_not_share_a_file) {
  EXPECT_EQ(only_problem(uplink("x.csv", "format = \"csv\"\n")),
            "3 uplink.file[0].path: must have {stream} in it, found \"x.csv\": with format = \"csv\" each stream has "
            "columns of its own; or set \"streams\" to one of them");
  EXPECT_EQ(only_problem(uplink("x", "spreadsheet_safe = true\n")),
            "4 uplink.file[0].spreadsheet_safe: is only for format = \"csv\"");
}

TEST_F(ConfigFileUplinkTest, a_file_that_is_never_finished_has_no_part_suffix) {
  EXPECT_EQ(only_problem(uplink("x", "part_suffix = \".part\"\n")),
            "4 uplink.file[0].part_suffix: needs \"rotate_size\" or {date} in \"path\": without them a file is never "
            "finished");
  EXPECT_EQ(only_problem(uplink("{date}/x", "part_suffix = \".part\"\n")),
            "3 uplink.file[0].path: must have {date} in the file's name, not in its directory, beside part_suffix, "
            "found \"{date}/x\"");
  for (const char* bad : {"part", ".", ".p/t", ".p*", ".12345678901234567"}) {
    EXPECT_EQ(only_problem(uplink("x", "rotate_size = \"1MiB\"\npart_suffix = \"" + std::string(bad) + "\"\n")),
              "5 uplink.file[0].part_suffix: must be a suffix as \".part\", found \"" + std::string(bad) + "\"");
  }
}

std::string sparkplug(const std::string& table, const std::string& more = "", const std::string& name = "u") {
  return "[[uplink.mqtt]]\nname = \"" + name + "\"\nbroker = \"mqtt://b\"\nformat = \"sparkplug\"\n" + more +
         (table.empty() ? "" : "sparkplug = { " + table + " }\n");
}

TEST_F(ConfigUplinkTest, every_key_of_a_sparkplug_node_goes_to_its_place) {
  const Config full = load_good(sparkplug("group = \"g\", node = \"n\", primary_host = \"h\""));
  const auto& made = full.mqtt_uplinks.at(0);
  EXPECT_EQ(made.format, uplink::MqttFormat::sparkplug);
  EXPECT_EQ(made.sparkplug, (uplink::SparkplugOptions{"g", "n", "h", 1}));
  const Config plain = load_good("gateway.id = \"gw\"\n" + sparkplug("group = \"g\""));
  EXPECT_EQ(plain.mqtt_uplinks.at(0).sparkplug, (uplink::SparkplugOptions{"g", "{gateway}", "", 1}));
  EXPECT_EQ(all(plain.warnings).find("sparkplug"), std::string::npos);
}

TEST_F(ConfigUplinkTest, a_sparkplug_node_needs_names_that_stand_in_topics) {
  EXPECT_NE(only_problem(sparkplug("")).find("4 uplink.mqtt[0].format: \"sparkplug\" needs the table \"sparkplug\""),
            std::string::npos);
  EXPECT_NE(only_problem(sparkplug("node = \"n\"")).find("5 uplink.mqtt[0].sparkplug: needs the key \"group\""),
            std::string::npos);
  for (const char* key : {"group", "node", "primary_host"}) {
    for (const char* bad : {"a/b", "a+", "#"}) {
      const std::string group = std::string(key) == "group" ? "" : "group = \"g\", ";
      const std::string said = only_problem(sparkplug(group + key + " = \"" + bad + "\""));
      EXPECT_NE(said.find("without +, # and /, found \"" + std::string(bad) + "\""), std::string::npos) << said;
    }
  }
  EXPECT_NE(only_problem(sparkplug("group = \"{gatway}\"")).find("{gateway}"), std::string::npos);
  EXPECT_NE(only_problem(sparkplug("group = \"g\", qos = 2")).find("qos"), std::string::npos);
}

TEST_F(ConfigUplinkTest, keys_of_other_formats_are_refused) {
  EXPECT_EQ(only_problem(sparkplug("group = \"g\"", "topic = \"t\"\n")),
            "5 uplink.mqtt[0].topic: is not for format = \"sparkplug\", whose topics come of group and node: leave it "
            "out");
  EXPECT_NE(only_problem(sparkplug("group = \"g\"", "integers = \"float\"\n")).find("is only for format = \"influx\""),
            std::string::npos);
  EXPECT_NE(only_problem("[[uplink.mqtt]]\nname = \"u\"\nbroker = \"mqtt://b\"\nsparkplug = { group = \"g\" }\n")
                .find("is only for format = \"sparkplug\""),
            std::string::npos);
  const Config influx =
      load_good("[[uplink.mqtt]]\nname = \"u\"\nbroker = \"mqtt://b\"\nformat = \"influx\"\nintegers = \"float\"\n");
  EXPECT_EQ(influx.mqtt_uplinks.at(0).format, uplink::MqttFormat::influx);
  EXPECT_TRUE(influx.mqtt_uplinks.at(0).integers_as_floats);
}

std::string mqtt_uplink(const std::string& more) {
  return "[[uplink.mqtt]]\nname = \"u\"\nbroker = \"mqtt://b\"\n" + more;
}

TEST_F(ConfigUplinkTest, an_mqtt_uplink_speaks_the_version_it_is_told_to) {
  const auto made = [this](const std::string& more) { return load_good(mqtt_uplink(more)).mqtt_uplinks.at(0); };
  EXPECT_EQ(made("").broker.protocol, mqtt::ProtocolVersion::v3_1_1);
  EXPECT_EQ(made("protocol = \"3.1.1\"\n").broker.protocol, mqtt::ProtocolVersion::v3_1_1);
  EXPECT_EQ(made("protocol = \"5\"\n").broker.protocol, mqtt::ProtocolVersion::v5);
  EXPECT_EQ(made("protocol = \"5\"\nformat = \"influx\"\n").broker.protocol, mqtt::ProtocolVersion::v5);
  const std::string other = only_problem(mqtt_uplink("protocol = \"4\"\n"));
  EXPECT_NE(other.find("4 uplink.mqtt[0].protocol: must be one of \"5\", \"3.1.1\", found \"4\""), std::string::npos)
      << other;
}

TEST_F(ConfigUplinkTest, a_sparkplug_node_speaks_the_version_of_its_specification) {
  EXPECT_EQ(
      only_problem(sparkplug("group = \"g\"", "protocol = \"5\"\n")),
      "5 uplink.mqtt[0].protocol: \"5\" is not for format = \"sparkplug\", whose sessions and wills are specified "
      "for MQTT 3.1.1: use \"3.1.1\", or leave it out");
  const Config good = load_good(sparkplug("group = \"g\"", "protocol = \"3.1.1\"\n"));
  EXPECT_EQ(good.mqtt_uplinks.at(0).broker.protocol, mqtt::ProtocolVersion::v3_1_1);
}

TEST_F(ConfigUplinkTest, only_a_broker_of_version_5_can_say_what_becomes_a_dead_letter) {
  const auto made = [this](const std::string& more) {
    return load_good(mqtt_uplink(more)).mqtt_uplinks.at(0).forwarder.dead_letter_after;
  };
  EXPECT_EQ(made(""), 0U);
  EXPECT_EQ(made("dead_letter_after = 0\n"), 0U);
  EXPECT_EQ(made("protocol = \"5\"\n"), 5U);
  EXPECT_EQ(made("protocol = \"5\"\ndead_letter_after = 0\n"), 0U);
  const std::string wrong = only_problem(mqtt_uplink("dead_letter_after = 5\n"));
  EXPECT_NE(wrong.find("4 uplink.mqtt[0].dead_letter_after: needs protocol = \"5\" beside it"), std::string::npos)
      << wrong;
}

TEST_F(ConfigUplinkTest, two_uplinks_are_two_sparkplug_nodes) {
  EXPECT_NE(only_problem(sparkplug("group = \"g\"") + sparkplug("group = \"g\"", "", "other"))
                .find("two uplinks would number the messages of one node"),
            std::string::npos);
  load_good(sparkplug("group = \"g\"") + sparkplug("group = \"h\"", "", "other"));
}

TEST_F(ConfigUplinkTest, the_strict_qos_of_sparkplug_and_an_own_node_that_is_taken_in_again_are_warned_of) {
  EXPECT_NE(only_warning("[[driver.simulator]]\nname = \"s\"\n" + sparkplug("group = \"g\", qos = 0"))
                .find("uplink.mqtt[0].sparkplug.qos: 0 is what the specification says"),
            std::string::npos);
  EXPECT_NE(only_warning("[[driver.mqtt]]\nname = \"m\"\nbroker = \"mqtt://b\"\n[[driver.mqtt.subscribe]]\n"
                         "topic = \"spBv1.0/g/#\"\npayload = \"sparkplug\"\n" +
                         sparkplug("group = \"g\""))
                .find("would come in again"),
            std::string::npos);
}

// The rights are looked at as a user that has no more than they say.
TEST_F(ConfigUplinkTest, the_directory_of_a_file_uplink_is_there_and_writable) {
  const auto file = [](const std::string& path) { return "[[uplink.file]]\nname = \"f\"\npath = \"" + path + "\"\n"; };
  const std::string driver = "[[driver.simulator]]\nname = \"s\"\n";
  const auto warned = [&](const std::string& name) { return only_warning(driver + file(path(name))); };
  const std::string end = "; the uplink does not make it, and until files can be made there records wait in the log";
  EXPECT_THAT(warned("out/x"), EndsWith("uplink.file[0].path: the directory " + path("out") + " is not there" + end));
  write("out", "in the way");
  EXPECT_THAT(warned("out/x"), HasSubstr(path("out") + " is no directory"));
  EXPECT_THAT(warned("out/in/{stream}"), HasSubstr(path("out/in") + " cannot be looked at: Not a directory"));
  EXPECT_THAT(warned("{stream}/x"), HasSubstr("not one warning but:")) << "one for each stream's";
  EXPECT_EQ(all(load_good(driver + file(path("x"))).warnings), "");
  EXPECT_EQ(all(load_good(driver + file(path("{date}/x"))).warnings), "") << "somebody may make one a day";
  const uid_t user = ::geteuid();
  ::chmod(path("").c_str(), 0555);
  constexpr uid_t kNobody = 65534;
  ASSERT_EQ(::seteuid(user == 0 ? kNobody : user), 0);
  const std::string trouble = directory_trouble(path(""));
  ASSERT_EQ(::seteuid(user), 0);
  ::chmod(path("").c_str(), 0755);
  EXPECT_THAT(trouble, StartsWith("cannot be written to by user "));
  EXPECT_THAT(trouble, EndsWith(": Permission denied"));
}

}  // namespace
}  // namespace tidegate::daemon
