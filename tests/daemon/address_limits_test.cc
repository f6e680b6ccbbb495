#include "daemon/admin/address_limits.h"

#include <gtest/gtest.h>

namespace tidegate::daemon {
namespace {

using namespace std::chrono_literals;

class AddressLimitsTest : public ::testing::Test {
 protected:
  // How many of `tries` may come, one behind the other without a pause.
  int take(const std::string& from, int tries) {
    int taken = 0;
    for (int i = 0; i < tries; ++i) {
      if (limits_.wait(from, now_)) continue;
      limits_.take(from, now_);
      ++taken;
    }
    return taken;
  }
  Duration wait(const std::string& from) const {
    const auto wait = limits_.wait(from, now_);
    return wait ? wait->time : Duration::zero();
  }

  AddressLimits limits_{{10, 6s}, {120, 500ms}};
  BootTime now_{1h};
};

TEST_F(AddressLimitsTest, an_address_has_ten_at_once_and_then_one_each_six_seconds) {
  EXPECT_EQ(take("a", 1000), 10);
  EXPECT_EQ(wait("a"), Duration(6s));
  EXPECT_FALSE(limits_.wait("a", now_)->is_for_all);
  now_ += 6s;
  EXPECT_EQ(take("a", 1000), 1);
  now_ += 60s;
  EXPECT_EQ(take("a", 1000), 10);
  EXPECT_FALSE(limits_.wait("b", now_));
}

TEST_F(AddressLimitsTest, all_together_have_a_hundred_and_twenty_at_once) {
  int taken = 0;
  for (int i = 0; i < 1000; ++i) taken += take("a" + std::to_string(i), 1);
  EXPECT_EQ(taken, 120);
  now_ += 1s;
  for (int i = 1000; i < 2000; ++i) taken += take("a" + std::to_string(i), 1);
  EXPECT_EQ(taken, 122);
}

TEST_F(AddressLimitsTest, who_was_let_in_lately_may_have_more) {
  limits_ = AddressLimits({10, 6s}, {120, 500ms}, {20, 1s});
  EXPECT_EQ(take("desk", 100), 10);
  limits_.welcome("desk", now_);
  now_ += 60s;
  EXPECT_EQ(take("desk", 100), 20);
  now_ += 3s;
  EXPECT_EQ(take("desk", 100), 3);
  EXPECT_EQ(take("other", 100), 10);
}

TEST_F(AddressLimitsTest, who_was_let_in_from_an_address_lately_does_not_wait_for_others) {
  limits_.welcome("desk", now_);
  for (int i = 0; i < 1000; ++i) take("a" + std::to_string(i), 10);
  ASSERT_TRUE(limits_.wait("new", now_));
  EXPECT_TRUE(limits_.wait("new", now_)->is_for_all);
  EXPECT_FALSE(limits_.wait("desk", now_));
  EXPECT_EQ(take("desk", 100), 10);
  EXPECT_TRUE(limits_.wait("desk", now_));
  now_ += 13h;
  for (int i = 0; i < 1000; ++i) take("b" + std::to_string(i), 10);
  EXPECT_TRUE(limits_.wait("desk", now_));
}

TEST_F(AddressLimitsTest, who_has_just_taken_much_is_not_forgotten_for_others_who_have_not_lately) {
  for (std::size_t i = 0; i < AddressLimits::kAddressesMax; ++i) {
    limits_.take("old" + std::to_string(i), now_);
    now_ += 1s;
  }
  EXPECT_EQ(take("a", 20), 10);
  limits_.take("b", now_);
  EXPECT_TRUE(limits_.wait("a", now_));
}

TEST_F(AddressLimitsTest, whoever_does_not_wait_for_others_makes_them_wait_no_longer_than_they_would) {
  for (int i = 0; i < 100; ++i) {
    limits_.welcome("desk" + std::to_string(i), now_);
    take("desk" + std::to_string(i), 10);
  }
  EXPECT_EQ(wait("new"), Duration(500ms));
}

}  // namespace
}  // namespace tidegate::daemon
