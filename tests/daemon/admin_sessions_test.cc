#include "daemon/admin/admin_sessions.h"

#include <gtest/gtest.h>

#include <set>
#include <string>
#include <vector>

namespace tidegate::daemon {
namespace {

using namespace std::chrono_literals;

constexpr BootTime kStart{1h};

TEST(AdminSessions, each_has_another_cookie_of_256_bits) {
  AdminSessions sessions;
  std::set<std::string> cookies;
  for (int i = 0; i < 100; ++i) cookies.insert(sessions.begin(kStart));
  EXPECT_EQ(cookies.size(), 100U);
  for (const std::string& cookie : cookies) {
    EXPECT_EQ(cookie.size(), 64U);
    EXPECT_EQ(cookie.find_first_not_of("0123456789abcdef"), std::string::npos);
  }
}

TEST(AdminSessions, holds_what_began_until_its_time_is_over) {
  AdminSessions sessions;
  const std::string cookie = sessions.begin(kStart);
  EXPECT_TRUE(sessions.holds(cookie, kStart + 11h));
  EXPECT_FALSE(sessions.holds(cookie, kStart + 12h));
  EXPECT_FALSE(sessions.holds("", kStart));
  EXPECT_FALSE(sessions.holds(cookie.substr(1), kStart));
  EXPECT_FALSE(sessions.holds(cookie + "0", kStart));
}

TEST(AdminSessions, ends_one_or_all) {
  AdminSessions sessions;
  const std::string one = sessions.begin(kStart);
  const std::string other = sessions.begin(kStart);
  sessions.end(one);
  EXPECT_FALSE(sessions.holds(one, kStart));
  EXPECT_TRUE(sessions.holds(other, kStart));
  sessions.end_all();
  EXPECT_FALSE(sessions.holds(other, kStart));
}

TEST(AdminSessions, keeps_the_newest_thirty_two) {
  AdminSessions sessions;
  std::vector<std::string> cookies;
  for (int i = 0; i < 33; ++i) cookies.push_back(sessions.begin(kStart));
  EXPECT_FALSE(sessions.holds(cookies.at(0), kStart));
  EXPECT_TRUE(sessions.holds(cookies.at(1), kStart));
  EXPECT_TRUE(sessions.holds(cookies.at(32), kStart));
}

TEST(SameSecret, nothing_is_not_the_same_as_nothing) {
  EXPECT_TRUE(is_same_secret("abc", "abc"));
  EXPECT_FALSE(is_same_secret("abc", "abd"));
  EXPECT_FALSE(is_same_secret("abc", "ab"));
  EXPECT_FALSE(is_same_secret("", ""));
}

}  // namespace
}  // namespace tidegate::daemon
