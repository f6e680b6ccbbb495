#include <gmock/gmock.h>

#include "drivers/mqtt_listener/publish_rights.h"
#include "drivers/mqtt_listener/user_list.h"

namespace tidegate::drivers {
namespace {

using ::testing::HasSubstr;

// Made by mosquitto_passwd 2.0.11 for "boiler" with the password "secret".
constexpr const char* kLine =
    "boiler:$7$101$j7dZ1jYq7Bk1wFvW$3HXQZrHmU/R4ymDd7mDNZ+NnvG0H"
    "nBpbCxqFAK17Et9qqmRvppHZVz9D01rwPKxEPrkPBkBu8YcJwyy/8fneBA==\n";

TEST(UserList, AdmitsWhoKnowsThePassword) {
  const auto list = UserList::parse(kLine);
  ASSERT_TRUE(list) << list.error().message;
  EXPECT_TRUE((*list)->admits("boiler", "secret"));
  EXPECT_FALSE((*list)->admits("boiler", "Secret"));
  EXPECT_FALSE((*list)->admits("boiler", ""));
  EXPECT_FALSE((*list)->admits("pump", "secret"));
}

TEST(UserList, RefusesAUserThatStandsTwice) {
  const auto list = UserList::parse(std::string(kLine) + kLine);
  ASSERT_FALSE(list);
  EXPECT_THAT(list.error().message, HasSubstr("line 2 names the user \"boiler\" again"));
}

TEST(UserList, NamesTheLineThatIsWrongAndNeverTheRest) {
  for (const std::string bad : {"boiler", ":x", "boiler:secret", "boiler:$6$salt$hash",
                                "boiler:$7$x$YQ==$YQ==", "boiler:$7$101$YQ==$YQ==", "boiler:$7$0$YQ==$YQ=="}) {
    const auto list = UserList::parse("# users\n\n" + bad + "\n");
    ASSERT_FALSE(list) << bad;
    EXPECT_THAT(list.error().message, HasSubstr("line 3 ")) << bad;
    EXPECT_THAT(list.error().message, Not(HasSubstr("secret")));
  }
}

TEST(UserList, RefusesWhatWouldHoldUpTheReadingsAtEveryLogin) {
  std::string line = kLine;
  line.replace(line.find("$101$"), 5, "$2000$");
  EXPECT_TRUE(UserList::parse(line));
  line.replace(line.find("$2000$"), 6, "$2001$");
  const auto list = UserList::parse(line);
  ASSERT_FALSE(list);
  EXPECT_THAT(list.error().message, HasSubstr("line 1 has a number of iterations that is not from 1 to 2000"));
}

TEST(UserList, AnEmptyListIsAMistake) { EXPECT_FALSE(UserList::parse("# nobody\n")); }

TEST(PublishRights, WithoutAnyEverythingMayBePublished) { EXPECT_TRUE(may_publish({}, "", "id", "a/b")); }

TEST(PublishRights, GiveOnlyWhatTheyName) {
  const std::vector<PublishRight> rights{{"", {"common/#"}}, {"boiler", {"plant/%u/#", "by-id/%c"}}};
  EXPECT_TRUE(may_publish(rights, "", "id", "common/x"));
  EXPECT_TRUE(may_publish(rights, "boiler", "id", "plant/boiler/temp"));
  EXPECT_TRUE(may_publish(rights, "boiler", "id", "by-id/id"));
  EXPECT_FALSE(may_publish(rights, "boiler", "id", "plant/pump/temp"));
  EXPECT_FALSE(may_publish(rights, "pump", "id", "plant/pump/temp"));
}

TEST(PublishRights, ANameWithAWildcardGivesNothing) {
  const std::vector<PublishRight> rights{{"", {"plant/%u/x", "id/%c"}}};
  EXPECT_FALSE(may_publish(rights, "+", "#", "plant/boiler/x"));
  EXPECT_FALSE(may_publish(rights, "", "", "plant//x"));
  EXPECT_FALSE(may_publish(rights, "a/b", "a/b", "plant/a/b/x"));
}

TEST(WatchRights, GiveWhatIsBelowThemAsAWholeAndWithoutAnyNothing) {
  EXPECT_FALSE(may_watch({}, "", "id", "tidegate/#"));
  const std::vector<PublishRight> rights{{"", {"tidegate/values/hall/#"}}, {"boss", {"tidegate/#", "x/%u/+"}}};
  EXPECT_TRUE(may_watch(rights, "", "id", "tidegate/values/hall/+"));
  EXPECT_FALSE(may_watch(rights, "", "id", "tidegate/values/+/temp"));
  EXPECT_TRUE(may_watch(rights, "boss", "id", "tidegate/alarms/#"));
  EXPECT_TRUE(may_watch(rights, "boss", "id", "x/boss/+"));
  EXPECT_FALSE(may_watch(rights, "boss", "id", "x/+/+"));
}

}  // namespace
}  // namespace tidegate::drivers
