// Which tables a file has, and how their headers are written.
#include <gmock/gmock.h>

#include "tests/daemon/config_fixture.h"

namespace tidegate::daemon {
namespace {

using ::testing::HasSubstr;
using ::testing::StartsWith;
using ConfigTablesTest = ConfigTest;

TEST_F(ConfigTablesTest, a_table_where_an_array_of_tables_should_be_is_an_error) {
  EXPECT_EQ(only_problem("[driver.simulator]\nname = \"b\"\n"),
            "1 driver.simulator: must be an array of tables: write [[driver.simulator]] instead of [driver.simulator]");
  EXPECT_EQ(only_problem("rule = 1\n"), "1 rule: must be an array of tables, [[rule]], found 1");
  EXPECT_EQ(only_problem("[[gateway]]\n"), "1 gateway: must be a table, [gateway], found an array of 1");
  EXPECT_EQ(only_problem("rule = [1]\n"), "1 rule[0]: must be a table, found 1");
  EXPECT_EQ(only_problem("driver = 1\n"), "1 driver: must be a table, [driver], found 1");
}

TEST_F(ConfigTablesTest, mistakes_in_a_table_that_should_be_an_array_are_found_too) {
  const auto problems =
      load_bad("[driver.mqtt]\nname = \"m\"\nbrokr = \"mqtt://a\"\n[driver.mqtt.subscribe]\nqos = 7\n");
  std::vector<std::string> found;
  for (const auto& problem : problems) found.push_back(short_form(problem));
  EXPECT_THAT(found,
              ::testing::ElementsAre(
                  HasSubstr("1 driver.mqtt: must be an array of tables: write [[driver.mqtt]]"),
                  HasSubstr("1 driver.mqtt.broker: is missing"), HasSubstr("3 driver.mqtt.brokr: is not a known"),
                  HasSubstr("write [[driver.mqtt.subscribe]] instead of [driver.mqtt.subscribe]"),
                  HasSubstr("driver.mqtt.subscribe.topic: is missing"), HasSubstr("driver.mqtt.subscribe.qos")));
}

TEST_F(ConfigTablesTest, a_file_that_does_nothing_is_odd) {
  EXPECT_THAT(only_warning(""), StartsWith("1 : nothing is ingested and nothing is forwarded"));
  EXPECT_THAT(only_warning("[gateway]\nid = \"a\"\n"), HasSubstr("nothing is ingested"));
  EXPECT_TRUE(load_good("[[driver.simulator]]\nname = \"s\"\n").warnings.empty());
}

TEST_F(ConfigTablesTest, an_unknown_section_is_an_error_that_names_the_right_one) {
  EXPECT_THAT(only_problem("[[driver.modbsu]]\nname = \"b\"\n"),
              HasSubstr("driver.modbsu: is not a known key; did you mean \"modbus\"?"));
  EXPECT_THAT(only_problem("[[uplinks.mqtt]]\n"), HasSubstr("did you mean \"uplink\"?"));
  EXPECT_THAT(only_problem("[quite_another_thing]\n"),
              HasSubstr("known here: include, gateway, buffer, driver, rule, uplink"));
}

}  // namespace
}  // namespace tidegate::daemon
