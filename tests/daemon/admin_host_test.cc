#include "daemon/admin/admin_host.h"

#include <gtest/gtest.h>

#include <string>

namespace tidegate::daemon {
namespace {

TEST(AdminHost, TakesAddressesLocalhostAndTheConfiguredName) {
  for (const char* host : {"127.0.0.1", "127.0.0.1:8480", "10.0.0.1:1", "[::1]", "[::1]:8480", "localhost",
                           "LocalHost:8480", "box.plant", "BOX.plant:80"}) {
    EXPECT_TRUE(is_own_host(host, "box.plant")) << host;
  }
}

TEST(AdminHost, RefusesEveryOtherName) {
  for (const char* host : {"",
                           ":80",
                           "evil.example",
                           "evil.example:8480",
                           "localhost.evil.example",
                           "127.0.0.1.evil",
                           "127.0.0.1:x",
                           "127.0.0.1:123456",
                           "127.1",
                           "0x7f.1",
                           "[::1",
                           "[::1]x",
                           "[::1]:x",
                           "[evil]",
                           "[127.0.0.1]",
                           "::1",
                           "localhost ",
                           "a@localhost",
                           "box.plan",
                           "box.plant.x"}) {
    EXPECT_FALSE(is_own_host(host, "box.plant")) << host;
  }
  EXPECT_FALSE(is_own_host(std::string("127.0.0.1\0.evil", 15), "127.0.0.1"));
  EXPECT_FALSE(is_own_host("", ""));
}

}  // namespace
}  // namespace tidegate::daemon
