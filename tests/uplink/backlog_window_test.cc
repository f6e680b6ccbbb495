#include "uplink/backlog_window.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <deque>
#include <random>

namespace tidegate::uplink {
namespace {

using std::chrono::microseconds;
using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr std::size_t kMost = 8;
constexpr std::size_t kBytes = 200'000;

// A target that takes one batch after the other, behind a link of some length.
class Target {
 public:
  Duration service = milliseconds(1);  // of a batch of kBytes
  Duration round_trip = microseconds(100);
  Duration noise{};  // up to so much more for each answer

  explicit Target(BacklogWindow& window) : window_(window) {}

  // Sends all that may be sent until `until`; returns how many batches were acknowledged.
  std::size_t run(Duration length, std::size_t bytes = kBytes) {
    const BootTime until = now_ + length;
    std::size_t done = 0;
    while (now_ < until) {
      while (on_their_way_.size() < window_.size()) send(bytes);
      most_ = std::max(most_, on_their_way_.size());
      const Answer answer = on_their_way_.front();
      on_their_way_.pop_front();
      now_ = std::max(now_, answer.at);
      window_.acknowledged(answer.id, now_);
      ++done;
    }
    return done;
  }
  void send(std::size_t bytes) {
    const auto work = service * static_cast<std::int64_t>(bytes) / static_cast<std::int64_t>(kBytes);
    free_at_ = std::max(free_at_, now_ + round_trip / 2) + work;
    const Duration late(noise.count() == 0 ? 0
                                           : std::uniform_int_distribution<std::int64_t>(0, noise.count())(random_));
    window_.sent(++ids_, bytes, on_their_way_.size() + 1, now_);
    on_their_way_.push_back({ids_, free_at_ + round_trip / 2 + late});
  }
  void lose_all() {
    on_their_way_.clear();
    window_.forget();
  }
  std::size_t take_most() { return std::exchange(most_, 0); }

 private:
  struct Answer {
    std::uint64_t id = 0;
    BootTime at{};
  };
  BacklogWindow& window_;
  BootTime now_{};
  BootTime free_at_{};
  std::deque<Answer> on_their_way_;
  std::uint64_t ids_ = 0;
  std::size_t most_ = 0;
  std::mt19937_64 random_{1};
};

class BacklogWindowTest : public ::testing::Test {
 protected:
  BacklogWindow window_{kMost};
  Target target_{window_};
};

TEST_F(BacklogWindowTest, has_no_bound_until_it_has_learned_how_long_a_batch_alone_takes) {
  EXPECT_EQ(window_.size(), kMost);
  target_.run(milliseconds(100));
  EXPECT_EQ(target_.take_most(), kMost);
  target_.run(seconds(1));
  EXPECT_LE(window_.size(), 3U);
}

TEST_F(BacklogWindowTest, stays_small_where_the_target_takes_one_batch_after_the_other) {
  target_.run(seconds(1));
  target_.take_most();
  EXPECT_GE(target_.run(seconds(60)), 57'000U);  // of 60,000 that the target could take
  EXPECT_LE(target_.take_most(), 3U);
}

TEST_F(BacklogWindowTest, fills_a_long_link) {
  target_.round_trip = milliseconds(300);
  target_.run(seconds(20));
  EXPECT_GE(target_.run(seconds(600)), 600U * kMost * 3U);  // of 3.3 rounds a second
  EXPECT_EQ(target_.take_most(), kMost);
}

TEST_F(BacklogWindowTest, stays_small_where_the_link_is_long_and_narrow) {
  target_.round_trip = milliseconds(300);
  target_.service = seconds(2);
  target_.run(seconds(60));
  target_.take_most();
  EXPECT_GE(target_.run(seconds(3600)), 1'700U);  // of 1,800
  EXPECT_LE(target_.take_most(), 3U);
}

TEST_F(BacklogWindowTest, follows_a_target_that_has_become_slower_and_faster) {
  target_.run(seconds(30));
  target_.service = milliseconds(10);
  target_.run(seconds(30));
  target_.take_most();
  EXPECT_GE(target_.run(seconds(60)), 5'500U);  // of 6,000
  EXPECT_LE(target_.take_most(), 3U);
  target_.service = microseconds(100);
  target_.round_trip = milliseconds(50);
  target_.run(seconds(30));
  EXPECT_GE(target_.run(seconds(60)), 60U * 20U * kMost * 8U / 10U);
}

TEST_F(BacklogWindowTest, does_not_take_noise_for_a_queue) {
  target_.round_trip = milliseconds(100);
  target_.noise = milliseconds(100);
  target_.run(seconds(30));
  EXPECT_GE(target_.run(seconds(60)), 60U * 5U * kMost * 6U / 10U);
}

TEST_F(BacklogWindowTest, learns_nothing_of_small_batches) {
  target_.run(seconds(5));
  const std::size_t before = window_.size();
  target_.run(milliseconds(100), kBytes / 100);
  EXPECT_EQ(window_.size(), before);
}

TEST_F(BacklogWindowTest, learns_of_small_batches_when_there_are_no_others) {
  target_.round_trip = milliseconds(300);
  target_.run(seconds(20));
  target_.send(kBytes);
  EXPECT_GE(target_.run(seconds(60), kBytes / 4), 60U * 3U * kMost * 6U / 10U);
  EXPECT_EQ(window_.size(), kMost);
}

TEST_F(BacklogWindowTest, goes_on_after_a_loss) {
  target_.round_trip = milliseconds(300);
  for (int times = 0; times < 200; ++times) {
    target_.run(seconds(2));
    target_.send(kBytes);
    target_.lose_all();
    ASSERT_GE(window_.size(), 1U);
    ASSERT_LE(window_.size(), kMost);
  }
  EXPECT_GE(target_.run(seconds(60)), 600U);
}

TEST_F(BacklogWindowTest, goes_on_where_answers_are_never_heard_or_for_what_it_does_not_know) {
  for (std::uint64_t id = 1; id <= 1'000; ++id) window_.sent(id, kBytes, 1, BootTime(milliseconds(id)));
  window_.acknowledged(1, BootTime(seconds(2)));
  window_.acknowledged(77'777, BootTime(seconds(2)));
  EXPECT_EQ(window_.size(), 1U);
  target_.lose_all();
  EXPECT_GE(target_.run(seconds(60)), 57'000U);
}

TEST(BacklogWindow, of_one_is_one) {
  BacklogWindow window(1);
  Target target(window);
  target.round_trip = milliseconds(300);
  target.run(seconds(60));
  EXPECT_EQ(target.take_most(), 1U);
}

}  // namespace
}  // namespace tidegate::uplink
