#include "daemon/login_limits.h"

#include <gtest/gtest.h>

namespace tidegate::daemon {
namespace {

using namespace std::chrono_literals;

class LoginLimitsTest : public ::testing::Test {
 protected:
  // How many tries are looked at, one behind the other without a pause, of `tries`.
  int fail(const std::string& from, int tries) {
    int looked_at = 0;
    for (int i = 0; i < tries; ++i) {
      if (limits_.wait(from, now_)) continue;
      limits_.note_failure(from, now_);
      ++looked_at;
    }
    return looked_at;
  }

  LoginLimits limits_;
  BootTime now_{1h};
};

TEST_F(LoginLimitsTest, an_address_is_wrong_ten_times_at_once_and_then_each_six_seconds) {
  EXPECT_EQ(fail("a", 1000), 10);
  EXPECT_EQ(limits_.wait("a", now_), Duration(6s));
  now_ += 6s;
  EXPECT_EQ(fail("a", 1000), 1);
  now_ += 60s;
  EXPECT_EQ(fail("a", 1000), 10);
  EXPECT_FALSE(limits_.wait("b", now_));
}

TEST_F(LoginLimitsTest, all_together_are_wrong_a_hundred_and_twenty_times_at_once) {
  int looked_at = 0;
  for (int i = 0; i < 1000; ++i) looked_at += fail("a" + std::to_string(i), 1);
  EXPECT_EQ(looked_at, 120);
  now_ += 1s;
  for (int i = 1000; i < 2000; ++i) looked_at += fail("a" + std::to_string(i), 1);
  EXPECT_EQ(looked_at, 122);
}

TEST_F(LoginLimitsTest, who_was_let_in_from_an_address_lately_does_not_wait_for_others) {
  limits_.note_success("desk", now_);
  for (int i = 0; i < 1000; ++i) fail("a" + std::to_string(i), 10);
  EXPECT_TRUE(limits_.wait("new", now_));
  EXPECT_FALSE(limits_.wait("desk", now_));
  EXPECT_EQ(fail("desk", 100), 10);
  EXPECT_TRUE(limits_.wait("desk", now_));
  now_ += 13h;
  for (int i = 0; i < 1000; ++i) fail("b" + std::to_string(i), 10);
  EXPECT_TRUE(limits_.wait("desk", now_));
}

TEST_F(LoginLimitsTest, who_has_just_failed_is_not_forgotten_for_others_who_have_not_lately) {
  for (std::size_t i = 0; i < LoginLimits::kAddressesMax; ++i) {
    limits_.note_failure("old" + std::to_string(i), now_);
    now_ += 1s;
  }
  EXPECT_EQ(fail("a", 20), 10);
  limits_.note_failure("b", now_);
  EXPECT_TRUE(limits_.wait("a", now_));
}

}  // namespace
}  // namespace tidegate::daemon
