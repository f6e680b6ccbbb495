#include "daemon/reload_plan.h"

#include <gmock/gmock.h>

#include <filesystem>

#include "tests/daemon/config_fixture.h"

namespace tidegate::daemon {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;

constexpr const char* kGateway = "[gateway]\nid = \"plant-7\"\ndata_dir = \"/var/lib/tidegate\"\n";
constexpr const char* kBus =
    "[[driver.modbus]]\nname = \"line-1\"\nurl = \"tcp://127.0.0.1:502\"\n"
    "  [[driver.modbus.device]]\n  name = \"boiler\"\n  interval = \"1s\"\n"
    "  tags = [ { name = \"temp\", address = \"holding:100\", unit = \"C\" } ]\n";
constexpr const char* kExport = "[[uplink.file]]\nname = \"export\"\npath = \"/srv/export.ndjson\"\n";

class ReloadPlanTest : public ConfigTest {
 protected:
  ReloadPlan plan(const std::string& running, const std::string& wanted) {
    const Config before = load_good(running);
    const Config after = load_good(wanted);
    return plan_reload(before, after);
  }

  /// "~ driver.modbus line-1 replace device.boiler.interval: "1s" -> "500ms"", one for each change.
  static std::vector<std::string> lines(const ReloadPlan& plan) {
    std::vector<std::string> lines;
    for (const PlannedChange& one : plan.changes) {
      std::string line = std::string(to_string(one.change)) + " " + one.title() + " " + to_string(one.effect);
      for (const KeyChange& key : one.keys) line += " " + key.key + ": " + key.before + " -> " + key.after;
      lines.push_back(line + (one.note.empty() ? "" : " (" + one.note + ")"));
    }
    return lines;
  }
};

std::string with(std::string text, const std::string& what, const std::string& instead) {
  const auto at = text.find(what);
  if (at == std::string::npos) throw std::runtime_error("no " + what);
  return text.replace(at, what.size(), instead);
}

TEST_F(ReloadPlanTest, FindsNothingWhereOnlyTheWordsAreOthers) {
  const std::string before = std::string(kGateway) + kBus + kExport;
  const std::string after = "# one line more\n\n" + std::string(kExport) + "format = \"ndjson\"\n" +
                            with(kBus, "\"1s\"", "\"1000ms\"") + "timeout = \"500ms\"\n" + kGateway;
  const auto found = plan(before, with(after, "timeout = \"500ms\"\n", ""));
  EXPECT_THAT(lines(found), IsEmpty());
  EXPECT_EQ(found.untouched, 2);
  EXPECT_TRUE(found.is_empty());
}

TEST_F(ReloadPlanTest, TakesAnotherTokenOfTheAdminAddressWhereNothingElseOfTheGatewayChanges) {
  const std::string token = "admin_token = { file = \"admin-token\" }\n";
  const std::string with_token = std::string(kGateway) + token;
  write("admin-token", "q7Lx0pWz4Rk2Vn8s");
  const Config before = load_good(with_token);
  write("admin-token", "another-q7Lx0pWz");
  const ReloadPlan found = plan_reload(before, load_good(with_token));
  EXPECT_THAT(lines(found), ElementsAre("changed gateway in-place admin_token: { file = \"admin-token\" } -> { file = "
                                        "\"admin-token\" } (other content)"));
  EXPECT_FALSE(found.needs_restart());
  EXPECT_TRUE(plan_reload(before, load_good(with(with_token, "plant-7", "plant-8"))).needs_restart());
  EXPECT_TRUE(plan_reload(before, load_good(kGateway)).needs_restart());
  EXPECT_TRUE(plan_reload(load_good(kGateway), load_good(with_token)).needs_restart());
}

TEST_F(ReloadPlanTest, APlaceInTheFileIsNoPartOfASubscription) {
  const std::string driver =
      "[[driver.mqtt]]\nname = \"local\"\nbroker = \"mqtt://127.0.0.1:1883\"\n"
      "[[driver.mqtt.subscribe]]\ntopic = \"plant/{device}/{tag}\"\n";
  EXPECT_THAT(lines(plan(kGateway + driver, kGateway + ("\n\n\n" + driver))), IsEmpty());
}

TEST_F(ReloadPlanTest, NamesEachKeyWithWhatItWasAndWhatItWillBe) {
  const std::string before = std::string(kGateway) + kBus;
  const auto found = plan(before, with(with(before, "\"1s\"", "\"500ms\""), ", unit = \"C\"", ", scale = 2"));
  ASSERT_EQ(found.changes.size(), 1U);
  EXPECT_THAT(found.changes[0].keys, ElementsAre(KeyChange{"device.boiler.interval", "\"1s\"", "\"500ms\""},
                                                 KeyChange{"device.boiler.tags.temp.scale", "(not set)", "2.0"},
                                                 KeyChange{"device.boiler.tags.temp.unit", "\"C\"", "(not set)"}));
  EXPECT_EQ(found.changes[0].line, 4U);
}

TEST_F(ReloadPlanTest, AnItemThatIsPutInFrontMakesTheOthersNoOthers) {
  const std::string before = std::string(kGateway) + kBus;
  const auto found = plan(before, with(before, "tags = [ ", "tags = [ { name = \"run\", address = \"coil:3\" }, "));
  ASSERT_EQ(found.changes.size(), 1U);
  EXPECT_THAT(found.changes[0].keys, ElementsAre(KeyChange{"device.boiler.tags.run.address", "(not set)", "\"coil:3\""},
                                                 KeyChange{"device.boiler.tags.run.name", "(not set)", "\"run\""}));
}

TEST_F(ReloadPlanTest, NamesWhatWaitsForARestartByItsKeys) {
  const auto found = plan(std::string(kGateway) + kExport,
                          with(kGateway, "plant-7", "plant-8") + std::string("[buffer]\nsize = \"64MiB\"\n") + kExport);
  EXPECT_THAT(lines(found), ElementsAre("changed gateway restart id: \"plant-7\" -> \"plant-8\"",
                                        "changed buffer restart size: \"256MiB\" -> \"64MiB\""));
  EXPECT_TRUE(found.needs_restart());
  EXPECT_THAT(found.waiting(), ElementsAre("gateway.id", "buffer.size"));
}

TEST_F(ReloadPlanTest, AnotherDataDirectoryIsNoChangeOfTheBuffer) {
  const auto found = plan(kGateway, with(kGateway, "/var/lib/tidegate", "/srv/tidegate"));
  EXPECT_THAT(found.waiting(), ElementsAre("gateway.data_dir"));
}

TEST_F(ReloadPlanTest, RulesComeGoAndChange) {
  const auto rule = [](const std::string& name, const std::string& raise) {
    return "[[rule]]\nname = \"" + name + "\"\ntype = \"threshold\"\ntags = [\"a/b\"]\nraise = \"" + raise + "\"\n";
  };
  const auto found = plan(kGateway + rule("old", "> 1") + rule("hot", "> 90") + rule("same", "> 5"),
                          kGateway + rule("same", "> 5") + rule("hot", "> 95") + rule("new", "> 1"));
  EXPECT_THAT(lines(found), ElementsAre("changed rule hot replace raise: \"> 90\" -> \"> 95\"", "added rule new start",
                                        "removed rule old stop"));
}

TEST_F(ReloadPlanTest, ShowsNoSecretAndFindsItsChange) {
  write("first", "tell-nobody\n");
  const std::string uplink =
      "[[uplink.mqtt]]\nname = \"cloud\"\nbroker = \"mqtt://127.0.0.1:1883\"\nusername = \"u\"\n"
      "password = { file = \"first\" }\n";
  const Config before = load_good(kGateway + uplink);
  write("first", "nor-this\n");
  const auto found = plan_reload(before, load_good(kGateway + uplink));
  ASSERT_EQ(found.changes.size(), 1U);
  EXPECT_THAT(found.changes[0].keys,
              ElementsAre(KeyChange{"password", "{ file = \"first\" }", "{ file = \"first\" } (other content)"}));
  for (const auto& section : before.sections) EXPECT_THAT(section.keys, Not(HasSubstr("tell-nobody")));
}

TEST_F(ReloadPlanTest, ADriverOfAnotherKindIsAnotherDriver) {
  const auto found =
      plan(std::string(kGateway) + "[[driver.simulator]]\nname = \"line-1\"\n", std::string(kGateway) + kBus);
  ASSERT_EQ(found.changes.size(), 2U);
  EXPECT_EQ(found.changes[0].title(), "driver.modbus line-1");
  EXPECT_EQ(found.changes[0].change, SectionChange::added);
  EXPECT_EQ(found.changes[1].title(), "driver.simulator line-1");
  EXPECT_EQ(found.changes[1].change, SectionChange::removed);
}

TEST_F(ReloadPlanTest, WhatStandsByDefaultOnTheIdChangesWithARestartOnly) {
  const std::string uplink = "[[uplink.mqtt]]\nname = \"cloud\"\nbroker = \"mqtt://127.0.0.1:1883\"\n";
  const Config running = load_good(kGateway + uplink);
  write("tidegate.toml", with(kGateway, "plant-7", "plant-8") + uplink);
  const auto beside = load_config_beside(path("tidegate.toml"), running);
  ASSERT_TRUE(beside);
  EXPECT_EQ(beside->mqtt_uplinks[0].broker.client_id, "tidegate-plant-7-out-cloud");
  EXPECT_EQ(beside->gateway.id, "plant-7");
}

TEST_F(ReloadPlanTest, WhatDoesNotGoWithSettingsThatWaitForARestartIsWrongUntilThen) {
  const Config running = load_good(std::string(kGateway) + "admin = \"127.0.0.1:18480\"\n");
  write("tidegate.toml", std::string(kGateway) +
                             "admin = \"127.0.0.1:18481\"\n[[driver.mqtt_listener]]\nname = \"direct\"\n"
                             "listen = \"127.0.0.1:18480\"\n[[driver.mqtt_listener.subscribe]]\n"
                             "topic = \"plant/{device}/{tag}\"\n");
  EXPECT_TRUE(load_config(path("tidegate.toml")));
  const auto beside = load_config_beside(path("tidegate.toml"), running);
  ASSERT_FALSE(beside);
  EXPECT_THAT(all(beside.error()), HasSubstr("takes the port of gateway.admin"));
}

}  // namespace
}  // namespace tidegate::daemon
