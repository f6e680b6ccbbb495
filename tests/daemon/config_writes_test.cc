// What may be written, and by whom.
#include <gmock/gmock.h>

#include "tests/daemon/config_fixture.h"

namespace tidegate::daemon {
namespace {

using ::testing::HasSubstr;
using ::testing::IsEmpty;

class ConfigWritesTest : public ConfigTest {
 protected:
  static std::string with_tag(const std::string& tag) {
    return "[[driver.modbus]]\nname = \"b\"\nurl = \"tcp://h\"\n[[driver.modbus.device]]\nname = \"d\"\ntags = [{ name "
           "= "
           "\"t\", " +
           tag + " }]\n";
  }
  static std::string node(const std::string& broker, const std::string& more) {
    return "[[uplink.mqtt]]\nname = \"scada\"\nbroker = \"" + broker +
           "\"\nformat = \"sparkplug\"\nsparkplug = { group = \"plant\"" + more + " }\n";
  }
};

const std::string kGood = "address = \"holding:200\", type = \"float32\", writable = true, min = 0, max = 90";

TEST_F(ConfigWritesTest, registers_and_coils_can_be_writable) {
  const Config config = load_good(with_tag(kGood));
  const auto& tag = config.modbus_buses.at(0).devices.at(0).tags.at(0);
  EXPECT_TRUE(tag.writable);
  EXPECT_EQ(tag.max, 90.0);
  EXPECT_THAT(config.warnings, IsEmpty());
  EXPECT_THAT(load_good(with_tag("address = \"coil:3\", writable = true")).warnings, IsEmpty());
  EXPECT_THAT(load_good(with_tag("address = \"holding:3\", type = \"string(8)\", writable = true")).warnings,
              IsEmpty());
  EXPECT_FALSE(load_good(with_tag("address = \"input:3\"")).modbus_buses.at(0).devices.at(0).tags.at(0).writable);
}

TEST_F(ConfigWritesTest, what_a_device_does_not_let_be_written_is_refused) {
  EXPECT_THAT(only_problem(with_tag("address = \"input:3\", writable = true")),
              HasSubstr("tags[0].writable: is for holding registers and coils; no input register can be written"));
  EXPECT_THAT(only_problem(with_tag("address = \"discrete:3\", writable = true")),
              HasSubstr("no discrete input can be written"));
  EXPECT_THAT(only_problem(with_tag("address = \"holding:3\", type = \"uint16\", bit = 4, writable = true")),
              HasSubstr("tags[0].writable: is not for one bit of a register"));
  EXPECT_THAT(only_problem(with_tag("address = \"holding:3\", type = \"string(250)\", writable = true")),
              HasSubstr("as many registers as one request can write, 123, found 125"));
}

TEST_F(ConfigWritesTest, limits_of_what_is_written_have_to_fit_its_registers) {
  EXPECT_THAT(only_problem(with_tag("address = \"holding:3\", type = \"uint16\", writable = true, max = 70000")),
              HasSubstr("tags[0].max: must be what the registers of a writable tag can hold, 0.0 to 65535.0, found "
                        "70000.0"));
  EXPECT_THAT(
      only_problem(with_tag("address = \"holding:3\", type = \"int16\", scale = 0.1, writable = true, min = -4000")),
      HasSubstr("tags[0].min: must be what the registers of a writable tag can hold, -3276.8 to 3276.7"));
  EXPECT_THAT(load_good(with_tag("address = \"holding:3\", type = \"uint16\", max = 70000")).warnings, IsEmpty())
      << "of what is only read they are harmless";
}

TEST_F(ConfigWritesTest, a_number_that_can_be_written_without_limits_is_odd) {
  EXPECT_THAT(only_warning(with_tag("address = \"holding:200\", type = \"float32\", writable = true")),
              HasSubstr("tags[0].writable: without min and max lets everything be written"));
  EXPECT_THAT(load_good(with_tag("address = \"holding:200\", type = \"float32\", writable = true, max = 9")).warnings,
              IsEmpty());
}

TEST_F(ConfigWritesTest, commands_are_off_unless_they_are_switched_on) {
  const Config config = load_good(with_tag(kGood) + node("mqtts://hub", ""));
  EXPECT_FALSE(config.mqtt_uplinks.at(0).sparkplug.commands);
  const Config with = load_good(with_tag(kGood) + node("mqtts://hub", ", commands = true"));
  EXPECT_TRUE(with.mqtt_uplinks.at(0).sparkplug.commands);
  EXPECT_THAT(with.warnings, IsEmpty());
}

TEST_F(ConfigWritesTest, commands_over_an_open_network_and_without_a_writable_tag_are_odd) {
  EXPECT_THAT(
      only_warning(with_tag(kGood) + node("mqtt://hub", ", commands = true")),
      HasSubstr("uplink.mqtt[0].sparkplug.commands: without TLS whoever is on the way to the broker can write"));
  EXPECT_THAT(only_warning(with_tag("address = \"input:3\"") + node("mqtt://127.0.0.1", ", commands = true")),
              HasSubstr("uplink.mqtt[0].sparkplug.commands: has nothing to write: no tag is writable = true"));
}

}  // namespace
}  // namespace tidegate::daemon
