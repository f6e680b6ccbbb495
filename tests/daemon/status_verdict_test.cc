#include "daemon/status_verdict.h"

#include <gtest/gtest.h>

#include <string>

namespace tidegate::daemon {
namespace {

/// A status in which all is well, but for what takes the place of a part of it.
struct Parts {
  std::string ready = "true";
  std::string clock = "synced";
  std::string drivers = R"({"name":"line-1","up":true,"devices":[{"name":"boiler","up":true}]})";
  std::string log = R"("taking_records":true,"streams":{"readings":{"full":false}})";
  std::string uplinks = R"({"name":"cloud","up":true,"dead_letters":0,"streams":{"readings":{"pending":7}}})";
  std::string rules = R"("alarms_active":0,"alarms_unacknowledged":0,"rules_without_tag":[])";
};

std::string verdict(const Parts& parts) {
  const std::string status = R"({"ready":)" + parts.ready + R"(,"clock":")" + parts.clock + R"(","drivers":[)" +
                             parts.drivers + R"(],"log":{)" + parts.log + R"(},"uplinks":[)" + parts.uplinks + "]," +
                             parts.rules + "}";
  simdjson::dom::parser parser;
  const Verdict found = verdict_of(parser.parse(status));
  EXPECT_EQ(found.is_well, found.text.starts_with("all is well"));
  return found.text;
}

template <class Change>
std::string verdict_after(Change&& change) {
  Parts parts;
  change(parts);
  return verdict(parts);
}

TEST(StatusVerdictTest, SaysThatAllIsWell) {
  EXPECT_EQ(verdict({}), "all is well");
  EXPECT_EQ(verdict_after([](Parts& parts) { parts.clock = "estimated"; }), "all is well") << "plausible is enough";
}

TEST(StatusVerdictTest, NamesEachTrouble) {
  EXPECT_EQ(verdict_after([](Parts& parts) { parts.ready = "false"; }), "LOOK AT: not ready");
  EXPECT_EQ(verdict_after([](Parts& parts) { parts.clock = "unsynced"; }), "LOOK AT: clock unsynced");
  EXPECT_EQ(verdict_after([](Parts& parts) { parts.drivers = R"({"name":"line-1","up":false})"; }),
            "LOOK AT: driver line-1 DOWN");
  EXPECT_EQ(verdict_after([](Parts& parts) { parts.log = R"("taking_records":false,"storage_problem":"no space")"; }),
            "LOOK AT: STORAGE FAILS; log TAKES NO RECORDS");
  EXPECT_EQ(
      verdict_after([](Parts& parts) { parts.log = R"("taking_records":true,"streams":{"readings":{"full":true}})"; }),
      "LOOK AT: ring readings FULL");
}

TEST(StatusVerdictTest, NamesTheTroublesOfAnUplink) {
  const auto of_uplink = [](const std::string& members) {
    return verdict_after([&](Parts& parts) { parts.uplinks = R"({"name":"cloud",)" + members + "}"; });
  };
  EXPECT_EQ(of_uplink(R"("up":false)"), "LOOK AT: uplink cloud DOWN");
  EXPECT_EQ(of_uplink(R"("up":true,"refused":"413")"), "LOOK AT: uplink cloud refused by its target");
  EXPECT_EQ(of_uplink(R"("up":true,"dead_letters":3)"), "LOOK AT: uplink cloud with dead letters");
  EXPECT_EQ(of_uplink(R"("up":true,"streams":{"alarms":{"account_mismatch":{}}})"),
            "LOOK AT: uplink cloud with ACCOUNTS THAT DO NOT HOLD");
  EXPECT_EQ(of_uplink(R"("up":true,"waiting":"waiting until 22:00")"), "all is well") << "that is what windows are for";
}

TEST(StatusVerdictTest, NamesAlarmsAndRulesThatJudgeNothing) {
  const auto of_rules = [](const std::string& rules) {
    return verdict_after([&](Parts& parts) { parts.rules = rules; });
  };
  EXPECT_EQ(of_rules(R"("alarms_active":1,"alarms_unacknowledged":0)"), "LOOK AT: 1 alarm raised");
  EXPECT_EQ(of_rules(R"("alarms_active":3,"alarms_unacknowledged":2)"), "LOOK AT: 3 alarms raised, 2 unseen");
  EXPECT_EQ(of_rules(R"("rules_without_tag":["hot"])"), "all is well; rule hot matches no tag so far");
  EXPECT_EQ(of_rules(R"("rules_without_tag":["hot","wet"])"), "all is well; 2 rules match no tag so far");
  EXPECT_EQ(of_rules(R"("alarms_active":1,"rules_without_tag":["hot"])"),
            "LOOK AT: 1 alarm raised; rule hot matches no tag so far");
}

TEST(StatusVerdictTest, SaysWhatAReloadHasLeftToARestart) {
  const auto waiting = [](const std::string& settings) {
    return verdict_after([&](Parts& parts) { parts.rules += ",\"restart_needed_for\":[" + settings + "]"; });
  };
  EXPECT_EQ(waiting(""), "all is well");
  EXPECT_EQ(waiting(R"("buffer.size")"), "all is well; changed setting buffer.size waits for a restart");
  EXPECT_EQ(waiting(R"("buffer.size","gateway.id")"), "all is well; 2 changed settings wait for a restart");
}

TEST(StatusVerdictTest, SaysThatNothingIsConfigured) {
  EXPECT_EQ(verdict_after([](Parts& parts) { parts.drivers = ""; }), "all is well; no driver is configured");
  EXPECT_EQ(verdict_after([](Parts& parts) { parts.uplinks = ""; }), "all is well; no uplink is configured");
}

TEST(StatusVerdictTest, CountsTheManyAndPutsTheGravestFirst) {
  Parts parts;
  parts.drivers = R"({"name":"line-1","up":true,"devices":[{"name":"a","up":false},{"name":"b","up":false}]})";
  parts.uplinks = R"({"name":"cloud","up":false},{"name":"lake","up":false})";
  parts.log = R"("taking_records":false)";
  EXPECT_EQ(verdict(parts), "LOOK AT: log TAKES NO RECORDS; 2 devices DOWN; 2 uplinks DOWN");
}

}  // namespace
}  // namespace tidegate::daemon
