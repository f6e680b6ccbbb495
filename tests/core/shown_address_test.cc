#include "core/shown_address.h"

#include <gtest/gtest.h>

#include <string>

namespace tidegate {
namespace {

TEST(ShownAddress, HasSchemeHostAndPort) {
  for (const char* whole : {"mqtt://hub", "mqtt://hub:1883", "hub:1883", "10.0.0.5:502", "http://[fd00::5]:80/",
                            "fd00::5", "[::1]:1883", "https://{gateway}.example/", "", "mqtts://"}) {
    EXPECT_EQ(shown_address(whole), whole);
  }
}

TEST(ShownAddress, HasNothingOfPathAndQuery) {
  EXPECT_EQ(shown_address("http://hub/hunter2"), "http://hub/...");
  EXPECT_EQ(shown_address("http://hub:80?key=hunter2"), "http://hub:80?...");
  EXPECT_EQ(shown_address("hub#hunter2"), "hub#...");
}

TEST(ShownAddress, HasNoLogin) {
  EXPECT_EQ(shown_address("mqtt://joe:hunter2@hub:1883"), "mqtt://...@hub:1883");
  EXPECT_EQ(shown_address("joe:hunter2@hub"), "...@hub");
  EXPECT_EQ(shown_address("http://joe:hun/ter2@hub"), "http://...");
}

TEST(ShownAddress, HasNothingInThePlaceOfThePortThatIsNoPort) {
  for (const char* secret :
       {"hub:hunter2", "http://hub:hunter2", "//hub:hunter2", "hub:hunter2/x", "hub:hunter2:9092", "http:/hub:hunter2/",
        "hub:1hunter2", "hub:1234:hunter2", "hub;hunter2", "[hunter2]", "[::1]hunter2", "hub hunter2", ":hunter2"}) {
    EXPECT_EQ(shown_address(secret).find("hunter2"), std::string::npos) << shown_address(secret);
  }
  EXPECT_EQ(shown_address("hub:hunter2"), "hub:...");
  EXPECT_EQ(shown_address("hub:123456"), "hub:...");
}

}  // namespace
}  // namespace tidegate
