#include "daemon/pipeline.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <string>

#include "tests/support/fake_driver.h"
#include "tests/support/fake_ring_log.h"
#include "tests/support/manual_clock.h"

namespace tidegate::daemon {
namespace {

class PipelineTest : public ::testing::Test {
 protected:
  testing::FakeDriver& add_driver(const std::string& name) {
    auto driver = std::make_unique<testing::FakeDriver>(name);
    auto& reference = *driver;
    pipeline_.add_driver(std::move(driver), 0);
    return reference;
  }
  Reading reading(std::int64_t value) {
    Reading reading;
    reading.tag = tags_.intern("pump/flow");
    reading.value = value;
    return reading;
  }
  std::vector<Reading> readings(std::int64_t count) {
    std::vector<Reading> all;
    for (std::int64_t i = 0; i < count; ++i) all.push_back(reading(i));
    return all;
  }
  static rules::RuleOptions rule_above(double level) {
    rules::RuleOptions rule;
    rule.name = "high";
    rule.tags = {"*"};
    rule.raise = {rules::Comparison::greater, level};
    return rule;
  }
  void raise_above(double level) {
    pipeline_.set_rules(std::make_unique<rules::RuleEngine>(std::vector{rule_above(level)}, tags_), Position{});
  }

  static constexpr BootId kThisBoot{2};
  static constexpr BootId kEarlierBoot{1};

  TagRegistry tags_;
  testing::ManualClock clock_;
  testing::FakeRingLog log_;
  Pipeline pipeline_{log_, tags_, clock_, kThisBoot};
};

TEST_F(PipelineTest, SettlesADriverOnlyWhenTheLogHasItsReadings) {
  auto& driver = add_driver("a");
  log_.refuse_with(ErrorCode::full);
  driver.offer({reading(1), reading(2)});
  pipeline_.turn();
  EXPECT_EQ(driver.settled_readings(), 0U);
  EXPECT_TRUE(pipeline_.is_stalled());
  EXPECT_NE(pipeline_.stall_reason().find("No space left"), std::string::npos);

  log_.accept_again();
  pipeline_.turn();
  EXPECT_EQ(driver.settled_readings(), 2U);
  EXPECT_FALSE(pipeline_.is_stalled());
  EXPECT_EQ(log_.readings().size(), 2U);
  EXPECT_EQ(pipeline_.sources()[0].accepted, 2U);
}

TEST_F(PipelineTest, TakesFromOneDriverAloneAndKnowsWhenItIsThrough) {
  auto& leaving = add_driver("a");
  auto& staying = add_driver("b");
  leaving.offer({reading(1)});
  staying.offer({reading(2)});
  log_.refuse_with(ErrorCode::full);
  EXPECT_TRUE(pipeline_.take_from(0));
  EXPECT_FALSE(pipeline_.is_through(0)) << "the log has not taken it";
  EXPECT_FALSE(pipeline_.take_from(0));
  log_.accept_again();
  EXPECT_FALSE(pipeline_.take_from(0)) << "what was refused is in, and nothing new";
  EXPECT_TRUE(pipeline_.is_through(0));
  EXPECT_EQ(leaving.settled_readings(), 1U);
  EXPECT_EQ(staying.waiting(), 1U);
}

TEST_F(PipelineTest, SettlesWhatIsDroppedOnPurposeOnlyWhenThatIsRecorded) {
  auto& driver = add_driver("a");
  log_.drop_readings(true);
  driver.offer({reading(1), reading(2)});
  pipeline_.turn();
  EXPECT_EQ(driver.settled_readings(), 0U);
  EXPECT_EQ(pipeline_.sources()[0].accepted, 2U);
  const Position saved = log_.end(Stream::readings);
  log_.drop_readings(false);
  driver.offer({reading(3)});
  pipeline_.turn();
  EXPECT_EQ(driver.settled_readings(), 0U) << "settling speaks of all that came before";
  pipeline_.drops_recorded({1, saved.sequence - 1});
  EXPECT_EQ(driver.settled_readings(), 0U);
  pipeline_.drops_recorded(saved);
  EXPECT_EQ(driver.settled_readings(), 3U);
  driver.offer({reading(4)});
  pipeline_.turn();
  EXPECT_EQ(driver.settled_readings(), 4U);
}

TEST_F(PipelineTest, SettlesNothingThatTheLogRefusesWhenDropsAreRecorded) {
  auto& driver = add_driver("a");
  log_.drop_readings(true);
  driver.offer({reading(1)});
  pipeline_.turn();
  log_.refuse_with(ErrorCode::retry);
  driver.offer({reading(2)});
  pipeline_.turn();
  pipeline_.drops_recorded(log_.end(Stream::readings));
  EXPECT_EQ(driver.settled_readings(), 0U);
  log_.drop_readings(false);
  log_.accept_again();
  pipeline_.turn();
  EXPECT_EQ(driver.settled_readings(), 2U);
}

TEST_F(PipelineTest, RemembersThatAPartWasDroppedWhileTheRestIsRefused) {
  auto& driver = add_driver("a");
  log_.drop_readings(true);
  log_.refuse_after(1, ErrorCode::retry);
  driver.offer(readings(5'000));
  pipeline_.turn();
  EXPECT_TRUE(pipeline_.is_stalled());
  log_.drop_readings(false);
  log_.accept_again();
  pipeline_.turn();
  EXPECT_FALSE(pipeline_.is_stalled());
  EXPECT_EQ(driver.settled_readings(), 0U) << "what was dropped is not recorded yet";
  pipeline_.drops_recorded(log_.end(Stream::readings));
  EXPECT_EQ(driver.settled_readings(), 5'000U);
}

// A log without its folder names the next segment at each try.
TEST_F(PipelineTest, SaysOnceThatTheLogRefusesWhateverNumbersAreInIt) {
  add_driver("a").offer({reading(1)});
  ::testing::internal::CaptureStdout();
  ::testing::internal::CaptureStderr();
  for (int i = 1; i < 30; ++i) {
    for (const char* stream : {"alarms", "events"}) {
      log_.refuse_with(ErrorCode::retry,
                       std::string("open ") + stream + "/" + std::to_string(i) + ".seg: no such file");
      pipeline_.turn();
      ASSERT_NE(pipeline_.stall_reason().find("/" + std::to_string(i) + ".seg"), std::string::npos);
    }
  }
  const std::string said = ::testing::internal::GetCapturedStdout() + ::testing::internal::GetCapturedStderr();
  EXPECT_EQ(std::count(said.begin(), said.end(), '\n'), 2) << said;
}

TEST_F(PipelineTest, CollectsNothingMoreWhileTheLogRefuses) {
  auto& first = add_driver("a");
  auto& second = add_driver("b");
  log_.refuse_with(ErrorCode::full);
  first.offer({reading(1)});
  first.offer({reading(2)});
  second.offer({reading(3)});
  for (int i = 0; i < 5; ++i) pipeline_.turn();
  EXPECT_EQ(first.waiting(), 1U);
  EXPECT_EQ(second.waiting(), 1U);

  log_.accept_again();
  for (int i = 0; i < 5; ++i) pipeline_.turn();
  EXPECT_EQ(log_.readings().size(), 3U);
  EXPECT_EQ(std::get<std::int64_t>(log_.readings()[0].value), 1);
}

TEST_F(PipelineTest, GoesOnBehindWhatTheLogWillNeverTake) {
  auto& driver = add_driver("a");
  log_.refuse_value(13);
  driver.offer({reading(12), reading(13), reading(14)}, QueueMark{77, 4096});
  pipeline_.turn();
  EXPECT_FALSE(pipeline_.is_stalled());
  EXPECT_EQ(driver.settled_readings(), 3U);
  ASSERT_EQ(log_.readings().size(), 2U);
  EXPECT_EQ(std::get<std::int64_t>(log_.readings()[1].value), 14);
  EXPECT_EQ(pipeline_.refused(Stream::readings), 1U);
  EXPECT_EQ(log_.marks(), (std::vector<QueueMark>{{77, 4096}}));
}

TEST_F(PipelineTest, CutsAnIntakeOfAnySizeIntoWhatTheLogTakes) {
  auto& driver = add_driver("a");
  driver.offer(readings(10'000));
  pipeline_.turn();
  ASSERT_EQ(log_.readings().size(), 10'000U);
  for (std::size_t i = 0; i < 10'000; ++i) {
    ASSERT_EQ(std::get<std::int64_t>(log_.readings()[i].value), static_cast<std::int64_t>(i));
  }
  EXPECT_LE(log_.largest_append(), 4'096U);
}

TEST_F(PipelineTest, RecordsWhatTheLogWillNeverTakeBeforeItIsSettled) {
  auto& driver = add_driver("a");
  log_.refuse_value(13);
  driver.offer({reading(12), reading(13), reading(13)});
  log_.refuse_documents_after(0, ErrorCode::retry);
  pipeline_.turn();
  EXPECT_EQ(log_.readings().size(), 1U);
  EXPECT_EQ(driver.settled_readings(), 0U) << "nothing says yet that it is lost";
  EXPECT_TRUE(pipeline_.is_stalled());
  log_.accept_again();
  pipeline_.turn();
  EXPECT_EQ(driver.settled_readings(), 3U);
  EXPECT_FALSE(pipeline_.is_stalled());
  EXPECT_EQ(log_.documents(Stream::events),
            (std::vector<std::string>{R"({"event":"log-refused","time":1760000000000,"stream":"readings",)"
                                      R"("tag":"pump/flow","count":2,"reason":"never"})"}));
  driver.offer({reading(13)});
  pipeline_.turn();
  EXPECT_EQ(log_.documents(Stream::events).size(), 2U);
  EXPECT_EQ(pipeline_.refused(Stream::readings), 3U);
}

TEST_F(PipelineTest, CountsTheEventsThatFoundNoRoomToWait) {
  log_.refuse_with(ErrorCode::retry);
  for (int i = 0; i < 10'003; ++i) pipeline_.record_event("{}");
  EXPECT_EQ(pipeline_.refused(Stream::events), 3U);
  log_.accept_again();
  pipeline_.turn();
  ASSERT_EQ(log_.documents(Stream::events).size(), 10'001U);
  EXPECT_NE(log_.documents(Stream::events).back().find(R"("stream":"events","count":3)"), std::string::npos);
}

TEST_F(PipelineTest, FindsAReadingThatTheLogWillNeverTakeInAFewSteps) {
  auto& driver = add_driver("a");
  log_.refuse_value(1'000);
  driver.offer(readings(10'000));
  pipeline_.turn();
  EXPECT_EQ(log_.readings().size(), 9'999U);
  EXPECT_EQ(pipeline_.refused(Stream::readings), 1U);
  EXPECT_EQ(driver.settled_readings(), 10'000U);
  EXPECT_LE(log_.appends(), 40U);
}

TEST_F(PipelineTest, PassesTheQueueMarkOnWithTheReadings) {
  auto& driver = add_driver("a");
  driver.offer({reading(1)}, QueueMark{77, 4096});
  pipeline_.turn();
  EXPECT_EQ(log_.marks(), (std::vector<QueueMark>{{77, 4096}}));
}

TEST_F(PipelineTest, SettlesWhatLeavesNoReading) {
  auto& driver = add_driver("a");
  Reading nameless = reading(1);
  nameless.tag = kNoTag;
  driver.offer({nameless});
  pipeline_.turn();
  EXPECT_EQ(driver.settled_readings(), 1U);
  EXPECT_EQ(log_.readings().size(), 0U);
}

TEST_F(PipelineTest, StoresTheAlarmsThatReadingsRaise) {
  raise_above(90);
  auto& driver = add_driver("a");
  driver.offer({reading(80), reading(95)});
  pipeline_.turn();
  ASSERT_EQ(log_.documents(Stream::alarms).size(), 1U);
  const auto alarm = rules::parse_alarm_document(log_.documents(Stream::alarms)[0]).value();
  EXPECT_EQ(alarm.alarm, "high/pump/flow");
  EXPECT_EQ(alarm.cause, (Position{1, 2}));
}

TEST_F(PipelineTest, TellsDelaysOfThisBootFromThoseOfAnEarlierOne) {
  for (const BootId& boot : {kEarlierBoot, kThisBoot}) {
    rules::RuleOptions rule = rule_above(90);
    rule.raise_after = std::chrono::seconds(10);
    auto engine = std::make_unique<rules::RuleEngine>(std::vector{rule}, tags_);
    RecordBatch batch;
    batch.epoch = 1;
    batch.first = 1;
    batch.times = {clock_.wall_now(), clock_.boot_now(), ClockQuality::synced};
    batch.boot_id = boot;
    batch.readings = {reading(95)};
    std::vector<rules::AlarmTransition> none;
    engine->apply(batch, none);
    pipeline_.set_rules(std::move(engine), batch.end());
    clock_.advance(std::chrono::seconds(20));
    pipeline_.tick();
    EXPECT_EQ(log_.documents(Stream::alarms).size(), boot == kThisBoot ? 1U : 0U);
  }
}

TEST_F(PipelineTest, KeepsDriverEventsUntilTheLogTakesThem) {
  auto& driver = add_driver("line-1");
  log_.refuse_with(ErrorCode::retry);
  driver.offer_event({"device-down", "boiler", "no answer within 500ms"});
  pipeline_.turn();
  EXPECT_TRUE(pipeline_.is_stalled());
  log_.accept_again();
  pipeline_.turn();
  ASSERT_EQ(log_.documents(Stream::events).size(), 1U);
  EXPECT_EQ(log_.documents(Stream::events)[0],
            "{\"event\":\"device-down\",\"time\":1760000000000,\"driver\":\"line-1\",\"device\":\"boiler\","
            "\"detail\":\"no answer within 500ms\"}");
}

TEST_F(PipelineTest, LosesNoOtherEventBesideOneThatTheLogWillNeverTake) {
  log_.refuse_with(ErrorCode::retry);
  log_.set_document_bytes_max(150);
  pipeline_.record_event(R"({"event":"first"})");
  pipeline_.record_event(R"({"event":"long","detail":")" + std::string(150, 'x') + "\"}");
  pipeline_.record_event(R"({"event":"last"})");
  log_.accept_again();
  pipeline_.turn();
  EXPECT_FALSE(pipeline_.is_stalled());
  ASSERT_EQ(log_.documents(Stream::events).size(), 3U);
  EXPECT_EQ(log_.documents(Stream::events)[0], R"({"event":"first"})");
  EXPECT_EQ(log_.documents(Stream::events)[1], R"({"event":"last"})");
  EXPECT_NE(log_.documents(Stream::events)[2].find(R"("event":"log-refused")"), std::string::npos);
  EXPECT_EQ(pipeline_.refused(Stream::events), 1U);
}

TEST_F(PipelineTest, KeepsTheOrderOfEventsWhenTheLogRefusesInTheMiddle) {
  log_.refuse_with(ErrorCode::retry);
  log_.set_document_bytes_max(150);
  pipeline_.record_event(R"({"event":"first"})");
  pipeline_.record_event(R"({"event":"long","detail":")" + std::string(150, 'x') + "\"}");
  pipeline_.record_event(R"({"event":"last"})");
  log_.accept_again();
  log_.refuse_documents_after(2, ErrorCode::retry);  // all of them, the first alone
  pipeline_.turn();
  EXPECT_TRUE(pipeline_.is_stalled());
  EXPECT_EQ(log_.documents(Stream::events), (std::vector<std::string>{R"({"event":"first"})"}));
  log_.accept_again();
  pipeline_.turn();
  EXPECT_FALSE(pipeline_.is_stalled());
  ASSERT_EQ(log_.documents(Stream::events).size(), 3U);
  EXPECT_EQ(log_.documents(Stream::events)[0], R"({"event":"first"})");
  EXPECT_EQ(log_.documents(Stream::events)[1], R"({"event":"last"})");
  EXPECT_NE(log_.documents(Stream::events)[2].find(R"("event":"log-refused")"), std::string::npos);
}

}  // namespace
}  // namespace tidegate::daemon
