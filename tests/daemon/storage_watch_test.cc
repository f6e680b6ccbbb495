#include "daemon/storage_watch.h"

#include <gmock/gmock.h>

#include "tests/support/fake_ring_log.h"
#include "tests/support/manual_clock.h"

namespace tidegate::daemon {
namespace {

using namespace std::chrono_literals;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

class StorageWatchTest : public ::testing::Test {
 protected:
  void look(int times, const StorageWatch::Reports& reports = {}) {
    for (int i = 0; i < times; ++i) {
      clock_.advance(1s);
      pipeline_.turn();
      watch_.look(reports);
    }
  }
  std::vector<std::string> alarms() const { return log_.documents(Stream::alarms); }
  std::vector<std::string> events() const { return log_.documents(Stream::events); }

  TagRegistry tags_;
  testing::ManualClock clock_;
  testing::FakeRingLog log_;
  Pipeline pipeline_{log_, tags_, clock_, BootId{}};
  StorageWatch watch_{{&log_, &pipeline_, &clock_}};
};

TEST_F(StorageWatchTest, SaysNothingWhileAllIsWell) {
  look(100);
  EXPECT_FALSE(watch_.is_failed());
  EXPECT_THAT(alarms(), IsEmpty());
  EXPECT_THAT(events(), IsEmpty());
}

TEST_F(StorageWatchTest, RaisesOneAlarmWhileTheDatabaseFailsAndClearsIt) {
  look(5, {"database or disk is full", {}});
  EXPECT_TRUE(watch_.is_failed());
  ASSERT_THAT(alarms(), SizeIs(1));
  EXPECT_THAT(alarms()[0], HasSubstr(R"("alarm":"tidegate/storage")"));
  EXPECT_THAT(alarms()[0], HasSubstr(R"("state":"raised","severity":"critical")"));
  EXPECT_THAT(alarms()[0], HasSubstr("state database: database or disk is full"));
  look(5);
  EXPECT_FALSE(watch_.is_failed());
  ASSERT_THAT(alarms(), SizeIs(2));
  EXPECT_THAT(alarms()[1], HasSubstr(R"("state":"cleared")"));
}

TEST_F(StorageWatchTest, KeepsTheAlarmUntilTheLogTakesIt) {
  log_.refuse_with(ErrorCode::full);
  look(10);
  EXPECT_TRUE(watch_.is_failed());
  EXPECT_THAT(alarms(), IsEmpty());
  log_.accept_again();
  look(5);
  EXPECT_FALSE(watch_.is_failed());
  ASSERT_THAT(alarms(), SizeIs(2));
  EXPECT_THAT(alarms()[0], HasSubstr("No space left on device"));
  EXPECT_THAT(alarms()[1], HasSubstr("cleared"));
}

TEST_F(StorageWatchTest, TakesOneHiccupForNoFailure) {
  for (int i = 0; i < 10; ++i) {
    look(1, {"disk I/O error", {}});
    look(1);
  }
  EXPECT_THAT(alarms(), IsEmpty());
  look(2, {"disk I/O error", {}});
  for (int i = 0; i < 10; ++i) {
    look(2);
    look(1, {"disk I/O error", {}});
  }
  EXPECT_TRUE(watch_.is_failed()) << "nor two good looks for a recovery";
  EXPECT_THAT(alarms(), SizeIs(1));
}

TEST_F(StorageWatchTest, NoticesADiskThatDoesNotAnswer) {
  look(5, {"", 9s});
  EXPECT_FALSE(watch_.is_failed());
  look(5, {"", 30s});
  EXPECT_TRUE(watch_.is_failed());
  EXPECT_EQ(watch_.problem(), "the disk has not answered for 30 s");
}

TEST_F(StorageWatchTest, ClearsWhatAnEarlierProcessRaised) {
  watch_.set_raised(true);
  look(5);
  ASSERT_THAT(alarms(), SizeIs(1));
  EXPECT_THAT(alarms()[0], HasSubstr(R"("state":"cleared")"));
}

TEST_F(StorageWatchTest, RaisesNothingASecondTimeAfterARestart) {
  look(5, {"disk I/O error", {}});
  StorageWatch next({&log_, &pipeline_, &clock_});
  next.observe_logged(rules::parse_alarm_document(alarms()[0]).value());
  EXPECT_TRUE(next.is_failed());
  for (int i = 0; i < 5; ++i) next.look({"disk I/O error", {}});
  EXPECT_THAT(alarms(), SizeIs(1));
}

TEST_F(StorageWatchTest, RecordsTheLevelsOfARingWithTheTimeLeft) {
  for (std::uint64_t percent = 0; percent <= 100; ++percent) {
    log_.set_fill({percent * 1000, 100'000, false});
    look(1);
  }
  std::vector<std::string> readings;
  for (const auto& event : events()) {
    if (event.find(R"("stream":"readings")") != std::string::npos) readings.push_back(event);
  }
  ASSERT_THAT(readings, SizeIs(3));
  EXPECT_THAT(readings[0], HasSubstr(R"("event":"buffer-fill")"));
  EXPECT_THAT(readings[0], HasSubstr(R"("percent":50,"time_left_s":50)"));
  EXPECT_THAT(readings[1], HasSubstr(R"("percent":80,"time_left_s":20)"));
  EXPECT_THAT(readings[2], HasSubstr(R"("percent":95,"time_left_s":5)"));
}

TEST_F(StorageWatchTest, TakesAFullRingForNoFailure) {
  log_.set_fill({100'000, 100'000, true});
  look(20);
  EXPECT_FALSE(watch_.is_failed());
}

}  // namespace
}  // namespace tidegate::daemon
