#include "daemon/admin/login_limits.h"

#include <gtest/gtest.h>

namespace tidegate::daemon {
namespace {

using namespace std::chrono_literals;

class LoginLimitsTest : public ::testing::Test {
 protected:
  void be_wrong(const std::string& from, int times) {
    for (int i = 0; i < times; ++i) limits_.note_failure(from, "digest " + std::to_string(i), now_);
  }

  LoginLimits limits_;
  BootTime now_{1h};
};

TEST_F(LoginLimitsTest, an_address_is_wrong_ten_times_at_once_and_then_each_six_seconds) {
  be_wrong("a", 9);
  EXPECT_FALSE(limits_.wait("a", now_));
  be_wrong("a", 1);
  ASSERT_TRUE(limits_.wait("a", now_));
  EXPECT_EQ(limits_.wait("a", now_)->time, Duration(6s));
  EXPECT_FALSE(limits_.wait("b", now_));
}

TEST_F(LoginLimitsTest, knows_what_was_wrong_from_an_address_and_of_no_other) {
  limits_.note_failure("a", "digest", now_);
  EXPECT_TRUE(limits_.is_known("a", "digest"));
  EXPECT_FALSE(limits_.is_known("b", "digest"));
  EXPECT_FALSE(limits_.is_known("a", "other"));
  be_wrong("b", static_cast<int>(LoginLimits::kKnownMax) - 1);
  EXPECT_TRUE(limits_.is_known("a", "digest"));
  be_wrong("b", 1);
  EXPECT_FALSE(limits_.is_known("a", "digest"));
}

}  // namespace
}  // namespace tidegate::daemon
