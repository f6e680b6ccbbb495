#include <gmock/gmock.h>

#include "daemon/config/admin_address.h"
#include "daemon/config/host_port.h"

namespace tidegate::daemon {
namespace {

using ::testing::HasSubstr;
using ::testing::StartsWith;

TEST(HostPort, takes_names_and_both_kinds_of_addresses) {
  const auto with_port = [](const char* text) {
    const auto found = parse_host_port(text);
    return found && found->port ? found->host + " " + std::to_string(*found->port) : "";
  };
  EXPECT_EQ(with_port("boiler.local:0"), "boiler.local 0");
  EXPECT_EQ(with_port("10.0.0.1:65535"), "10.0.0.1 65535");
  EXPECT_EQ(with_port("[fd00::5]:80"), "fd00::5 80");
  EXPECT_EQ(parse_host_port("boiler")->host, "boiler");
  EXPECT_EQ(parse_host_port("boiler")->port, std::nullopt);
  EXPECT_EQ(parse_host_port("[::1]")->host, "::1");
}

TEST(HostPort, knows_which_addresses_cannot_share_a_port) {
  EXPECT_TRUE(are_same_place("127.0.0.1", "localhost"));
  EXPECT_TRUE(are_same_place("0.0.0.0", "10.0.0.5"));
  EXPECT_TRUE(are_same_place("10.0.0.5", "::"));
  EXPECT_TRUE(are_same_place("::1", "0:0:0:0:0:0:0:1"));
  EXPECT_TRUE(are_same_place("::ffff:10.0.0.5", "10.0.0.5"));
  EXPECT_FALSE(are_same_place("10.0.0.5", "10.0.0.6"));
  EXPECT_FALSE(are_same_place("0.0.0.0", "::1"));
  EXPECT_FALSE(are_same_place("127.0.0.1", "::1"));
}

TEST(HostPort, refuses_everything_else) {
  for (const char* text : {"", ":80", "h:", "h:x", "h:65536", "h:-1", "h:80 ", " h:80", "h:1:2", "::1:80", "[::1",
                           "[]:1", "[h]:80", "[::1]80", "u@h:80", "h/:80", "h\n:80"}) {
    EXPECT_FALSE(parse_host_port(text)) << '"' << text << '"';
  }
}

TEST(AdminAddressText, reads_back_the_same) {
  for (const char* text : {"", "127.0.0.1:8480", "[::1]:0", "localhost:1", "10.0.0.1:80", "unix:/run/a.sock"}) {
    const auto address = parse_admin_address(text);
    ASSERT_TRUE(address) << address.error().message;
    EXPECT_EQ(format_admin_address(*address), text);
  }
}

TEST(AdminAddressText, says_what_would_be_right) {
  for (const char* text : {"127.0.0.1", "127.0.0.1:", ":80", "127.0.0.1:x", "a b:80"}) {
    EXPECT_THAT(parse_admin_address(text).error().message, StartsWith("must be \"HOST:PORT\", \"unix:PATH\""));
  }
  EXPECT_THAT(parse_admin_address("unix:").error().message, HasSubstr("1 to 107 bytes"));
  EXPECT_THAT(parse_admin_address("unix:" + std::string(108, 'x')).error().message, HasSubstr("1 to 107 bytes"));
  EXPECT_TRUE(parse_admin_address("unix:" + std::string(107, 'x')));
}

TEST(AdminAddressText, tells_what_other_machines_reach) {
  for (const char* text : {"127.3.2.1:80", "localhost:80", "[::1]:80", "unix:/run/a.sock", ""}) {
    EXPECT_FALSE(is_reached_by_others(parse_admin_address(text).value())) << text;
  }
  for (const char* text : {"10.0.0.1:80", "0.0.0.0:80", "[::]:80", "box.plant:80"}) {
    EXPECT_TRUE(is_reached_by_others(parse_admin_address(text).value())) << text;
  }
}

}  // namespace
}  // namespace tidegate::daemon
