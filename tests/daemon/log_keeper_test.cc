#include "daemon/log_keeper.h"

#include <gtest/gtest.h>

#include "tests/support/fake_ring_log.h"
#include "tests/support/manual_clock.h"

namespace tidegate::daemon {
namespace {

using namespace std::chrono_literals;

class LogKeeperTest : public ::testing::Test {
 protected:
  LogKeeperTest() { log_.sync_by_jobs(); }
  void append() { EXPECT_TRUE(log_.append(Stream::events, std::vector<std::string>{"{}"}, FrameTimes{}).has_value()); }
  void sync_all() {
    keeper_.sync_all([this](bool ok) { answers_.push_back(ok); });
  }
  /// Runs the loop until there are so many answers.
  void wait_for_answers(std::size_t count) {
    const auto look = loop_.make_timer();
    const auto give_up = loop_.make_timer();
    const std::function<void()> check = [&] {
      if (answers_.size() >= count) return loop_.stop();
      look->arm(1ms, check);
    };
    give_up->arm(5s, [&] { loop_.stop(); });
    check();
    loop_.run();
  }

  testing::FakeRingLog log_;
  testing::ManualClock clock_;
  EventLoop loop_;
  LogKeeper keeper_{log_, loop_, clock_};
  std::vector<bool> answers_;
};

TEST_F(LogKeeperTest, DoesWhatNeedsNoJobUnderWayBetweenTwoOfThem) {
  std::vector<std::string> told;
  keeper_.when_idle([&] { told.emplace_back("at once"); });
  EXPECT_EQ(told, std::vector<std::string>{"at once"});
  bool is_in_job = false;
  keeper_.before_sync([&] { is_in_job = true; });
  append();
  sync_all();
  keeper_.when_idle([&] { told.emplace_back(is_in_job && answers_.size() == 1 ? "behind the job" : "too early"); });
  EXPECT_EQ(told.size(), 1U);
  wait_for_answers(1);
  EXPECT_EQ(told.back(), "behind the job");
}

TEST_F(LogKeeperTest, AnswersWhenWhatWasWrittenIsDurable) {
  append();
  sync_all();
  EXPECT_TRUE(answers_.empty());
  wait_for_answers(1);
  EXPECT_EQ(answers_, std::vector<bool>{true});
  EXPECT_EQ(log_.durable(Stream::events), log_.end(Stream::events));
  sync_all();
  EXPECT_EQ(answers_, (std::vector<bool>{true, true})) << "nothing is left to do";
}

TEST_F(LogKeeperTest, AnswersWhileMoreIsWrittenAllTheTime) {
  keeper_.on_durable([this] {
    append();
    keeper_.poke();
  });
  append();
  sync_all();
  wait_for_answers(1);
  EXPECT_EQ(answers_, std::vector<bool>{true});
}

// What drivers keep of their own about records is durable before these are.
TEST_F(LogKeeperTest, CallsWhatComesBeforeASyncBeforeIt) {
  std::vector<int> jobs_before;
  keeper_.before_sync([&] { jobs_before.push_back(log_.jobs_run()); });
  append();
  sync_all();
  wait_for_answers(1);
  EXPECT_EQ(jobs_before, std::vector<int>{0});
  EXPECT_EQ(log_.jobs_run(), 1);
}

TEST_F(LogKeeperTest, SaysWhenASyncFails) {
  log_.fail_syncs(true);
  append();
  sync_all();
  wait_for_answers(1);
  EXPECT_EQ(answers_, std::vector<bool>{false});
  sync_all();
  EXPECT_EQ(answers_, (std::vector<bool>{false, false})) << "nor can it be now";
}

TEST_F(LogKeeperTest, AnswersEveryoneWhoAsks) {
  append();
  sync_all();
  append();
  sync_all();
  wait_for_answers(2);
  EXPECT_EQ(answers_, (std::vector<bool>{true, true}));
}

}  // namespace
}  // namespace tidegate::daemon
