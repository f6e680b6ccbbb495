#include "daemon/admin/admin_crowd.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace tidegate::daemon {
namespace {

constexpr std::size_t kMost = 6;
constexpr std::size_t kStrangersMost = 4;

class AdminCrowdTest : public ::testing::Test {
 protected:
  std::optional<std::uint64_t> enter(const std::string& from) {
    const std::string name = from + "#" + std::to_string(++count_);
    return crowd_.enter(from, [this, name] { ended_.push_back(name); });
  }

  AdminCrowd crowd_{kMost, kStrangersMost};
  std::vector<std::string> ended_;
  int count_ = 0;
};

TEST_F(AdminCrowdTest, a_stranger_too_many_ends_the_oldest_of_who_has_most_of_them) {
  enter("a");
  enter("b");
  enter("b");
  enter("c");
  EXPECT_TRUE(enter("a"));
  EXPECT_EQ(ended_, std::vector<std::string>{"b#2"});
  EXPECT_TRUE(enter("d"));
  EXPECT_EQ(ended_.back(), "a#1");
}

TEST_F(AdminCrowdTest, among_addresses_with_as_many_the_oldest_stranger_goes_whatever_its_address_is) {
  enter("d");
  enter("c");
  enter("b");
  enter("a");
  EXPECT_TRUE(enter("e"));
  EXPECT_EQ(ended_, std::vector<std::string>{"d#1"});
  EXPECT_TRUE(enter("0"));
  EXPECT_EQ(ended_.back(), "c#2");
}

TEST_F(AdminCrowdTest, who_has_been_let_in_is_not_ended) {
  for (int i = 0; i < 3; ++i) crowd_.set_stranger(enter("a").value(), false);
  for (int i = 0; i < 10; ++i) EXPECT_TRUE(enter("a")) << i;
  EXPECT_EQ(ended_.size(), 7U);
  EXPECT_EQ(ended_.front(), "a#4");
}

TEST_F(AdminCrowdTest, there_is_no_room_where_all_are_let_in_until_one_leaves) {
  std::vector<std::uint64_t> guests;
  for (std::size_t i = 0; i < kMost; ++i) {
    guests.push_back(enter("a").value());
    crowd_.set_stranger(guests.back(), false);
  }
  EXPECT_FALSE(enter("b"));
  crowd_.leave(guests.front());
  EXPECT_TRUE(enter("b"));
  EXPECT_TRUE(ended_.empty());
}

TEST_F(AdminCrowdTest, where_all_are_let_in_a_newcomer_ends_who_has_been_idle_longest) {
  std::vector<std::uint64_t> guests;
  for (std::size_t i = 0; i < kMost; ++i) {
    guests.push_back(enter("a").value());
    crowd_.set_stranger(guests.back(), false);
  }
  for (const std::size_t i : {3U, 1U, 2U}) crowd_.set_idle(guests[i], true);
  crowd_.set_idle(guests[3], false);
  EXPECT_TRUE(enter("b"));
  EXPECT_EQ(ended_, std::vector<std::string>{"a#2"});
  EXPECT_TRUE(enter("c"));
  EXPECT_EQ(ended_.back(), "b#7") << "a stranger goes before";
}

TEST_F(AdminCrowdTest, who_was_let_in_for_one_answer_is_a_stranger_again) {
  const auto guest = enter("a").value();
  crowd_.set_stranger(guest, false);
  crowd_.set_stranger(guest, true);
  for (std::size_t i = 0; i < kStrangersMost; ++i) enter("a");
  EXPECT_EQ(ended_.front(), "a#1");
}

}  // namespace
}  // namespace tidegate::daemon
