#include "daemon/clock_watch.h"

#include <gmock/gmock.h>

#include <deque>
#include <memory>
#include <random>

#include "core/plausible_clock.h"
#include "daemon/clock_events.h"
#include "tests/support/fake_driver.h"
#include "tests/support/fake_ring_log.h"
#include "tests/support/manual_clock.h"

namespace tidegate::daemon {
namespace {

using namespace std::chrono_literals;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

constexpr BootId kBoot{0xab, 0xcd};

/// A machine that holds this thread up between two readings of its clocks, when it is told to.
class HeldUpClock final : public Clock {
 public:
  explicit HeldUpClock(testing::ManualClock& clock) : clock_(clock) {}
  WallTime wall_now() const override {
    const WallTime now = clock_.wall_now();
    if (!holds_.empty()) {
      clock_.advance(holds_.front());
      holds_.pop_front();
    }
    return now;
  }
  BootTime boot_now() const override { return clock_.boot_now(); }
  ClockQuality quality() const override { return clock_.quality(); }
  void hold(int times, Duration by) { holds_.assign(static_cast<std::size_t>(times), by); }

 private:
  testing::ManualClock& clock_;
  mutable std::deque<Duration> holds_;
};

class ClockWatchTest : public ::testing::Test {
 protected:
  void begin(ClockQuality quality) {
    clock_.set_quality(quality);
    watch_ = std::make_unique<ClockWatch>(ClockWatch::Parts{&pipeline_, &clock_, &history_});
  }
  void look() {
    clock_.advance(1s);
    watch_->look();
  }
  const std::vector<std::string>& events() const { return log_.documents(Stream::events); }
  FrameTimes now() const { return {clock_.wall_now(), clock_.boot_now(), clock_.quality()}; }

  TagRegistry tags_;
  testing::ManualClock clock_;
  testing::FakeRingLog log_;
  Pipeline pipeline_{log_, tags_, clock_, BootId{}};
  ClockHistory history_{kBoot};
  std::unique_ptr<ClockWatch> watch_;
};

TEST_F(ClockWatchTest, SaysNothingOfAClockThatRuns) {
  for (const auto quality : {ClockQuality::unsynced, ClockQuality::estimated, ClockQuality::synced}) {
    begin(quality);
    for (int i = 0; i < 1'000; ++i) look();
    EXPECT_THAT(events(), IsEmpty());
  }
}

TEST_F(ClockWatchTest, RecordsAStepWithAllThatIsKnownOfIt) {
  clock_.boot(100s, WallTime(1'760'000'000s));
  begin(ClockQuality::estimated);
  clock_.step_wall(90min);
  clock_.set_quality(ClockQuality::synced);
  look();
  ASSERT_THAT(events(), SizeIs(2));
  EXPECT_EQ(
      events()[0],
      R"({"event":"clock-step","time":1760005401000,"from":1760000001000,"to":1760005401000,"step_seconds":5400.0,)"
      R"("clock_before":"estimated","clock":"synced","boot_id":"abcd0000000000000000000000000000",)"
      R"("boot_time":101000,"offset":1760005300000})");
  EXPECT_EQ(events()[1], R"({"event":"clock-synced","time":1760005401000,"clock":"synced",)"
                         R"("boot_id":"abcd0000000000000000000000000000","boot_time":101000,"offset":1760005300000})");
  EXPECT_EQ(watch_->steps(), 1u);
}

TEST_F(ClockWatchTest, RecordsStepsInBothDirectionsAndNoSmallOnes) {
  begin(ClockQuality::synced);
  for (const Duration by : {Duration(99ms), Duration(-99ms)}) {
    clock_.step_wall(by);
    look();
  }
  EXPECT_THAT(events(), IsEmpty());
  for (const Duration by : {Duration(100ms), Duration(-100ms), Duration(-std::chrono::years(10)), Duration(1s)}) {
    clock_.step_wall(by);
    look();
  }
  ASSERT_THAT(events(), SizeIs(4));
  EXPECT_THAT(events()[1], HasSubstr(R"("step_seconds":-0.1,)"));
  EXPECT_THAT(events()[3], HasSubstr(R"("step_seconds":1.0,)"));
}

TEST_F(ClockWatchTest, RecordsOnceThatTheClockIsSynced) {
  begin(ClockQuality::unsynced);
  for (int i = 0; i < 5; ++i) {
    clock_.set_quality(ClockQuality::synced);
    look();
    clock_.set_quality(ClockQuality::estimated);
    look();
  }
  ASSERT_THAT(events(), SizeIs(1));
  EXPECT_THAT(events()[0], HasSubstr(R"("event":"clock-synced")"));
}

TEST_F(ClockWatchTest, TakesNoDelayBetweenTwoClocksForAStep) {
  HeldUpClock held(clock_);
  clock_.set_quality(ClockQuality::synced);
  ClockWatch watch({&pipeline_, &held, &history_});
  for (int times = 0; times < 12; ++times) {
    held.hold(times, 3s);
    watch.look();
    held.hold(0, 0s);
    watch.look();
  }
  EXPECT_THAT(events(), IsEmpty());
  clock_.step_wall(1s);
  held.hold(3, 3s);
  watch.look();
  EXPECT_THAT(events(), SizeIs(1)) << "a step that is there is found all the same";
}

TEST_F(ClockWatchTest, TellsTheHistorySoThatWhatCameBeforeIsPutRight) {
  clock_.boot(5s, WallTime(5s));
  begin(ClockQuality::unsynced);
  clock_.advance(10s);
  const FrameTimes before = now();
  EXPECT_EQ(history_.shift(kBoot, before), std::nullopt);
  clock_.advance(10s);
  clock_.step_wall(1'760'000'000s);
  clock_.set_quality(ClockQuality::synced);
  look();
  EXPECT_EQ(history_.shift(kBoot, before), Duration(1'760'000'000s));
}

// What is said in the events is what the history was told: a later process decides the same by them.
TEST_F(ClockWatchTest, SaysInTheEventsWhatTheHistoryWasTold) {
  constexpr std::uint64_t kSeed = 20261128;
  std::mt19937_64 random(kSeed);
  for (int life = 0; life < 50; ++life) {
    ClockHistory live(kBoot);
    ClockHistory later(BootId{9});
    testing::FakeRingLog log;
    Pipeline pipeline(log, tags_, clock_, BootId{});
    clock_.boot(Duration(random() % 1'000'000'000'000), WallTime(Duration(random() % 1'000'000'000'000'000'000)));
    clock_.set_quality(static_cast<ClockQuality>(random() % 3));
    ClockWatch watch({&pipeline, &clock_, &live});
    pipeline.record_event(with_anchor(R"({"event":"start"})", watch.first_anchor()));
    std::vector<FrameTimes> frames;
    for (int step = 0; step < 20; ++step) {
      clock_.advance(Duration(random() % 10'000'000'000));
      if (random() % 4 == 0) clock_.step_wall(Duration(random() % 4'000'000'000) - 2s);
      if (random() % 4 == 0) clock_.set_quality(static_cast<ClockQuality>(random() % 3));
      watch.look();
      frames.push_back(now());
    }
    for (const std::string& event : log.documents(Stream::events)) {
      const auto anchor = parse_clock_event(event);
      ASSERT_TRUE(anchor) << event;
      later.add(*anchor);
    }
    for (const FrameTimes& frame : frames) {
      ASSERT_EQ(live.shift(kBoot, frame), later.shift(kBoot, frame)) << "seed " << kSeed << " life " << life;
    }
  }
}

TEST_F(ClockWatchTest, PutsReadingsThatCameBeforeTheStepOnTheNewClock) {
  auto owned = std::make_unique<testing::FakeDriver>("a");
  testing::FakeDriver& driver = *owned;
  pipeline_.add_driver(std::move(owned), 0);
  clock_.boot(5s, WallTime(5s));
  begin(ClockQuality::unsynced);
  Reading ingest;
  ingest.tag = tags_.intern("a/x");
  ingest.time = clock_.wall_now();
  Reading source = ingest;
  source.origin = TimeOrigin::source;
  driver.offer({ingest, source});
  clock_.step_wall(1'760'000'000s);
  look();
  Reading after = ingest;
  after.time = clock_.wall_now();
  driver.offer({after});
  while (pipeline_.turn()) {
  }
  ASSERT_THAT(log_.readings(), SizeIs(3));
  EXPECT_EQ(log_.readings()[0].time, ingest.time + 1'760'000'000s);
  EXPECT_EQ(log_.readings()[1].time, source.time) << "a source's own time is never altered";
  EXPECT_EQ(log_.readings()[2].time, after.time);
}

TEST_F(ClockWatchTest, PutsWhatTheLogRefusesOnTheNewClockToo) {
  auto owned = std::make_unique<testing::FakeDriver>("a");
  testing::FakeDriver& driver = *owned;
  pipeline_.add_driver(std::move(owned), 0);
  begin(ClockQuality::estimated);
  Reading reading;
  reading.tag = tags_.intern("a/x");
  reading.time = clock_.wall_now();
  log_.refuse_with(ErrorCode::full);
  driver.offer({reading});
  pipeline_.turn();
  clock_.step_wall(-1h);
  look();
  log_.accept_again();
  pipeline_.turn();
  ASSERT_THAT(log_.readings(), SizeIs(1));
  EXPECT_EQ(log_.readings()[0].time, reading.time - 1h);
}

TEST(ClockEvents, AreReadBackAndNothingElseIs) {
  const ClockAnchor anchor{kBoot, BootTime(5s), 1'760'000'000s, ClockQuality::estimated};
  const auto read = parse_clock_event(with_anchor(R"({"event":"start","time":1})", anchor));
  ASSERT_TRUE(read);
  EXPECT_EQ(read->boot_id, kBoot);
  EXPECT_EQ(read->boot, anchor.boot);
  EXPECT_EQ(read->offset, anchor.offset);
  EXPECT_EQ(read->quality, anchor.quality);
  const std::string tail = R"("boot_id":"abcd0000000000000000000000000000","boot_time":1,"offset":1)";
  EXPECT_TRUE(parse_clock_event(R"({"event":"clock-synced","clock":"synced",)" + tail + "}"));
  for (const std::string& other :
       {std::string(R"({"event":"start","time":1})"), R"({"event":"device-up","clock":"synced",)" + tail + "}",
        R"({"event":"start","clock":"good",)" + tail + "}", R"({"event":"start","clock":"synced",)" + tail,
        std::string(R"({"event":"start","clock":"synced","boot_id":"zz","boot_time":1,"offset":1})"),
        std::string(R"({"event":"start","clock":"synced","boot_id":"abcd0000000000000000000000000000","boot_time":1,)"
                    R"("offset":9223372036854775807})")}) {
    EXPECT_FALSE(parse_clock_event(other)) << other;
  }
}

}  // namespace
}  // namespace tidegate::daemon
