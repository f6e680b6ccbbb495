#include <gmock/gmock.h>

#include <string>

#include "tests/integration/gateway_process.h"
#include "tests/support/network.h"
#include "tests/support/wait_until.h"

namespace tidegate::testing {
namespace {

using std::chrono::seconds;
using ::testing::HasSubstr;

/// A gateway with a listener that asks for logins.
class ReloadShort : public ::testing::Test {
 protected:
  void install_user(const std::string& name) const {
    const auto made = run_to_end({"/usr/bin/mosquitto_passwd", "-c", "-b", users_file(), name, "secret"});
    ASSERT_EQ(made.end.exit_code, 0) << made.errors;
  }
  void configure(const std::string& rights = "") {
    gateway_.configure("[[driver.mqtt_listener]]\nname = \"direct\"\nlisten = \"127.0.0.1:" + port_ +
                       "\"\nusers = { file = \"users\" }\n" + rights +
                       "[[driver.mqtt_listener.subscribe]]\ntopic = \"plant/{device}/{tag}\"\nvalue = \"/v\"\n");
  }
  bool gets_in(const std::string& user) const {
    return run_to_end({"/usr/bin/mosquitto_pub", "-h", "127.0.0.1", "-p", port_, "-u", user, "-P", "secret", "-q", "1",
                       "-t", "plant/d/t", "-m", "{\"v\":1}"})
               .end.exit_code == 0;
  }
  bool says(const std::string& text) const {
    return wait_until([&] { return gateway_.log().find(text) != std::string::npos; }, seconds(20));
  }
  std::string users_file() const { return gateway_.directory() + "/users"; }

  const std::string port_ = std::to_string(free_port());
  GatewayProcess gateway_;
};

TEST_F(ReloadShort, NewLoginsGoByTheUsersThatTheFileHoldsNow) {
  install_user("boiler");
  configure();
  gateway_.start();
  ASSERT_TRUE(gets_in("boiler")) << gateway_.log();
  install_user("pump");
  EXPECT_FALSE(gets_in("pump")) << "nobody has said so yet";
  gateway_.reload();
  ASSERT_TRUE(says("driver direct: logins go by the new users")) << gateway_.log();
  EXPECT_TRUE(gets_in("pump")) << gateway_.log();
  EXPECT_FALSE(gets_in("boiler"));
  EXPECT_EQ(gateway_.log().find("began anew"), std::string::npos) << gateway_.log();
}

TEST_F(ReloadShort, AWrongFileOfUsersChangesNothingAndIsNamed) {
  install_user("boiler");
  configure();
  gateway_.start();
  write_file(users_file(), "# nobody\nboiler:secret\n");
  gateway_.reload();
  ASSERT_TRUE(says("nothing was changed")) << gateway_.log();
  EXPECT_THAT(gateway_.log(), HasSubstr("driver.mqtt_listener[0].users: " + users_file() + ": line 2 must be"));
  EXPECT_THAT(gateway_.log(), HasSubstr("users of driver \"direct\""));
  EXPECT_TRUE(gets_in("boiler"));
}

TEST_F(ReloadShort, UsersAndRightsAreTakenTogether) {
  install_user("boiler");
  configure();
  gateway_.start();
  install_user("pump");
  configure("[[driver.mqtt_listener.allow]]\nuser = \"pump\"\npublish = [\"plant/#\"]\n");
  gateway_.reload();
  ASSERT_TRUE(says("reloaded: began anew driver.mqtt_listener direct")) << gateway_.log();
  EXPECT_TRUE(gets_in("pump")) << gateway_.log();
  EXPECT_FALSE(gets_in("boiler"));
}

}  // namespace
}  // namespace tidegate::testing
