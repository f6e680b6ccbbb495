#include <gmock/gmock.h>

#include <tuple>

#include "tests/rules/engine_fixture.h"

namespace tidegate::rules {
namespace {

using testing::EngineFixture;
using testing::kWallStart;
using testing::seconds;
using testing::threshold;
using testing::with_delays;

const std::string kAlarm = "hot/boiler/temp";

class OperatorTest : public EngineFixture {
 protected:
  static Operator operator_at(int second) { return {"ann", "on my way", kWallStart + seconds(second)}; }
  static RuleOptions latched(RuleOptions rule = threshold("> 90")) {
    rule.latch = true;
    return rule;
  }
  /// What comes of it, or the error.
  std::string acknowledge(int second, const std::string& alarm = kAlarm) {
    std::vector<AlarmTransition> out;
    const auto done = engine_->acknowledge(alarm, operator_at(second), out);
    if (!done) return done.error().message;
    logged_.insert(logged_.end(), out.begin(), out.end());
    return states(out);
  }
  std::string shelve(int second, int until, const std::string& alarm = kAlarm) {
    std::vector<AlarmTransition> out;
    const auto done = engine_->shelve(alarm, kWallStart + seconds(until), operator_at(second), out);
    logged_.insert(logged_.end(), out.begin(), out.end());
    return done ? states(out) : done.error().message;
  }
  std::string unshelve(int second, const std::string& alarm = kAlarm) {
    std::vector<AlarmTransition> out;
    const auto done = engine_->unshelve(alarm, operator_at(second), out);
    return done ? states(out) : done.error().message;
  }
  std::string end_shelving(int second) {
    std::vector<AlarmTransition> out;
    engine_->end_shelving(kWallStart + seconds(second), out);
    return states(out);
  }
  static std::string states(const std::vector<AlarmTransition>& transitions) {
    std::string text;
    for (const AlarmTransition& one : transitions)
      text += (text.empty() ? "" : ", ") + std::string(to_string(one.state));
    return text;
  }
  ActiveAlarm only_active() const {
    const auto active = engine_->active();
    EXPECT_EQ(active.size(), 1U);
    return active.empty() ? ActiveAlarm{} : active.front();
  }

  std::vector<AlarmTransition> logged_;
};

TEST_F(OperatorTest, AcknowledgesTheRaiseThatHolds) {
  use(threshold("> 90"));
  feed("t=0 95, t=1 96");
  EXPECT_FALSE(only_active().acknowledged);
  EXPECT_EQ(acknowledge(2), "acknowledged");
  const AlarmTransition said = logged_.at(0);
  EXPECT_EQ(said.alarm, kAlarm);
  EXPECT_EQ(said.by, "ann");
  EXPECT_EQ(said.note, "on my way");
  EXPECT_EQ(said.time, kWallStart + seconds(2));
  EXPECT_EQ(said.occurrence, (Position{1, 1}));
  EXPECT_EQ(said.cause, engine_->position());
  ASSERT_TRUE(only_active().acknowledged);
  EXPECT_EQ(only_active().acknowledged->by, "ann");
  EXPECT_EQ(acknowledge(3), "") << "a second time says nothing new";
}

TEST_F(OperatorTest, AnotherRaiseIsNotAcknowledged) {
  use(threshold("> 90"));
  feed("t=0 95");
  acknowledge(1);
  feed("t=2 80, t=3 95");
  EXPECT_FALSE(only_active().acknowledged);
  EXPECT_EQ(acknowledge(4), "acknowledged");
}

TEST_F(OperatorTest, WhatIsNotRaisedIsNotAcknowledged) {
  use(threshold("> 90"));
  EXPECT_EQ(acknowledge(0), "alarm \"hot/boiler/temp\" is not raised");
  feed("t=0 95, t=1 80");
  EXPECT_EQ(acknowledge(2), "alarm \"hot/boiler/temp\" is not raised");
  EXPECT_EQ(acknowledge(2, "nonsense"), "alarm \"nonsense\" is not raised");
}

TEST_F(OperatorTest, ALatchedAlarmClearsByTheNextReadingOnceItIsAcknowledged) {
  use(latched());
  EXPECT_EQ(feed("t=0 95, t=1 80, t=2 95"), "raised at t=0");
  EXPECT_EQ(acknowledge(3), "acknowledged");
  EXPECT_EQ(feed("t=4 tick"), "") << "its end does not hold";
  EXPECT_EQ(feed("t=5 80"), "cleared at t=5");
  EXPECT_EQ(feed("t=6 95, t=7 80"), "raised at t=6") << "and the next one is to be acknowledged again";
}

TEST_F(OperatorTest, ALatchedAlarmWhoseEndHoldsClearsWhenItIsAcknowledged) {
  use(latched());
  feed("t=0 95, t=1 80, t=9 tick");
  EXPECT_EQ(engine_->next_deadline(), std::nullopt) << "nothing to wait for but a person";
  acknowledge(10);
  EXPECT_EQ(feed("t=10 tick"), "cleared at t=10") << "and not before it is acknowledged, for whoever orders by time";
}

TEST_F(OperatorTest, TheDelayOfALatchedAlarmRunsWhileItWaits) {
  use(latched(with_delays(threshold("> 90"), seconds(0), seconds(5))));
  feed("t=0 95, t=10 80");
  acknowledge(12);
  EXPECT_EQ(feed("t=14 tick"), "");
  EXPECT_EQ(feed("t=16 tick"), "cleared at t=15");
  feed("t=20 95, t=21 80, t=40 tick");
  acknowledge(40);
  EXPECT_EQ(feed("t=40 tick"), "cleared at t=40");
}

TEST_F(OperatorTest, ALatchedAlarmWaitsForAReadingOfTheNewBoot) {
  use(latched());
  feed("t=0 95, t=1 80, t=2 reboot, t=3 tick");
  acknowledge(3);
  EXPECT_EQ(engine_->next_deadline(), std::nullopt) << "nobody saw what was between the two";
  EXPECT_EQ(feed("t=3 tick"), "");
  EXPECT_EQ(feed("t=4 80"), "cleared at t=4");
}

TEST_F(OperatorTest, ARestartForgetsNothing) {
  use(latched());
  feed("t=0 95");
  acknowledge(1);
  shelve(2, 100);
  restart();
  ASSERT_TRUE(only_active().acknowledged);
  EXPECT_EQ(*only_active().acknowledged, logged_.at(0));
  ASSERT_TRUE(only_active().shelved);
  EXPECT_EQ(*only_active().shelved, logged_.at(1));
  EXPECT_EQ(feed("t=5 80"), "cleared at t=5");
}

TEST_F(OperatorTest, ARestartKeepsWhatWaitsToBeAcknowledged) {
  use(latched());
  feed("t=0 95, t=1 80");
  restart();
  EXPECT_EQ(feed("t=3 tick"), "");
  acknowledge(4);
  EXPECT_EQ(feed("t=4 tick"), "cleared at t=4");
}

TEST_F(OperatorTest, WhatTheLogSaysOfOperatorsHoldsAfterACrash) {
  use(latched());
  const std::string saved = engine_->save();
  feed("t=0 95");
  const std::vector<AlarmTransition> raised = fresh_;
  acknowledge(1);
  shelve(1, 100);
  use(latched());
  ASSERT_TRUE(engine_->restore(saved));
  for (const AlarmTransition& one : raised) engine_->observe_logged(one);
  for (const AlarmTransition& one : logged_) engine_->observe_logged(one);
  sequence_ = 1;
  EXPECT_EQ(feed("t=0 95"), "") << "which the log has";
  ASSERT_TRUE(only_active().acknowledged);
  ASSERT_TRUE(only_active().shelved);
}

TEST_F(OperatorTest, ShelvesAnAlarmRaisedOrNot) {
  use(threshold("> 90"));
  EXPECT_EQ(shelve(0, 100),
            "there is no alarm \"hot/boiler/temp\": it is RULE/TAG, of a rule and of a tag that has readings");
  EXPECT_EQ(tags_.size(), 0U) << "whoever asks makes no tags known";
  feed("t=0 80");
  EXPECT_EQ(shelve(1, 100), "shelved");
  EXPECT_EQ(engine_->shelved().size(), 1U);
  EXPECT_EQ(feed("t=2 95"), "raised at t=2") << "nothing is left out of the log";
  ASSERT_TRUE(only_active().shelved);
  EXPECT_EQ(only_active().shelved->until, kWallStart + seconds(100));
  EXPECT_EQ(engine_->next_end_of_shelving(), kWallStart + seconds(100));
  EXPECT_EQ(unshelve(3), "unshelved");
  EXPECT_FALSE(only_active().shelved);
  EXPECT_EQ(unshelve(3), "alarm \"hot/boiler/temp\" is not shelved");
  for (const char* none : {"hot", "hot/", "hot/other/temp", "cold/boiler/temp", ""}) {
    EXPECT_THAT(shelve(4, 100, none), ::testing::HasSubstr("there is no alarm")) << none;
  }
}

TEST_F(OperatorTest, ShelvingEndsByItself) {
  use(threshold("> 90"));
  feed("t=0 95");
  shelve(1, 100);
  shelve(2, 50);
  EXPECT_EQ(engine_->next_end_of_shelving(), kWallStart + seconds(50)) << "the last word holds";
  EXPECT_EQ(end_shelving(49), "");
  EXPECT_EQ(end_shelving(50), "unshelved");
  EXPECT_EQ(engine_->next_end_of_shelving(), std::nullopt);
  EXPECT_EQ(end_shelving(51), "");
}

TEST_F(OperatorTest, AReplayForgetsNoAcknowledgementOfALaterRaise) {
  use(threshold("> 90"));
  const std::string saved = engine_->save();
  feed("t=0 95, t=1 80, t=2 95");
  acknowledge(3);
  use(threshold("> 90"));
  ASSERT_TRUE(engine_->restore(saved));
  for (const AlarmTransition& one : logged_) engine_->observe_logged(one);
  sequence_ = 1;
  feed("t=0 95, t=1 80, t=2 95");
  EXPECT_TRUE(only_active().acknowledged);
}

TEST_F(OperatorTest, AnAcknowledgementNamesTheRaiseThatWasSeen) {
  use(threshold("> 90"));
  feed("t=0 95");
  const Position seen = only_active().raised.occurrence;
  feed("t=1 80, t=2 95");
  std::vector<AlarmTransition> out;
  const auto done = engine_->acknowledge(kAlarm, operator_at(3), out, seen);
  ASSERT_FALSE(done);
  EXPECT_THAT(done.error().message, ::testing::HasSubstr("raised again since"));
  EXPECT_TRUE(engine_->acknowledge(kAlarm, operator_at(3), out, only_active().raised.occurrence));
}

TEST_F(OperatorTest, WhatIsUnshelvedSaysWhetherItIsRaisedNow) {
  use(threshold("> 90"));
  feed("t=0 80");
  shelve(1, 100);
  EXPECT_FALSE(logged_.back().is_raised);
  feed("t=2 95");
  std::vector<AlarmTransition> out;
  ASSERT_TRUE(engine_->unshelve(kAlarm, operator_at(3), out));
  EXPECT_TRUE(out.at(0).is_raised);
  EXPECT_EQ(out.at(0).occurrence, only_active().raised.occurrence);
}

TEST_F(OperatorTest, TheSameShelvingAgainSaysNothingNew) {
  use(threshold("> 90"));
  feed("t=0 95");
  EXPECT_EQ(shelve(1, 100), "shelved");
  EXPECT_EQ(shelve(2, 100), "");
  EXPECT_EQ(shelve(2, 102), "shelved");
}

TEST_F(OperatorTest, WhatWasShelvedByAWrongClockLastsAsLong) {
  use(threshold("> 90"));
  feed("t=0 95");
  shelve(1, 50);
  shelve(1, 100);
  engine_->clock_was_set(std::chrono::hours(1));
  EXPECT_EQ(end_shelving(200), "");
  EXPECT_EQ(end_shelving(3600 + 100), "unshelved");
}

TEST_F(OperatorTest, MarksOfARuleThatIsGoneAreNotTaken) {
  use(threshold("> 90"));
  feed("t=0 95");
  shelve(1, 100);
  RuleOptions other = threshold("> 90");
  other.name = "other";
  restart_with({other});
  EXPECT_TRUE(engine_->shelved().empty());
  engine_->observe_logged(logged_.back());
  EXPECT_TRUE(engine_->shelved().empty());
}

// A restart at any place, with what any checkpoint before it had, comes to what a run without one comes to.
class OperatorRestart : public OperatorTest, public ::testing::WithParamInterface<std::tuple<bool, int>> {
 protected:
  OperatorRestart() {
    rule_ = with_delays(threshold("> 90", "< 85"), seconds(0), seconds(std::get<1>(GetParam())));
    rule_.latch = std::get<0>(GetParam());
  }
  static bool is_reading(std::string_view step) {
    return step.find('t') == 0 && step.find("tick") == std::string::npos;
  }

  void take(const std::string& step) {
    if (step.starts_with("ack")) {
      acknowledge(std::stoi(step.substr(4)));
      return;
    }
    feed(step);
    logged_.insert(logged_.end(), fresh_.begin(), fresh_.end());
  }
  /// What the log has at the end.
  std::string run(std::size_t checkpoint, std::size_t crash) {
    use(rule_);
    logged_.clear();
    sequence_ = 1;
    std::string saved = engine_->save();
    std::size_t logged_before = 0;
    for (std::size_t i = 0; i < kStory.size(); ++i) {
      if (i == checkpoint) {
        saved = engine_->save();
        logged_before = logged_.size();
      }
      if (i == crash) restart_from(saved, logged_before, checkpoint, crash);
      take(kStory[i]);
    }
    std::string text;
    for (const AlarmTransition& one : logged_) text += to_document(one) + '\n';
    for (const ActiveAlarm& one : engine_->active())
      text += to_document(one.raised) + (one.acknowledged ? " seen\n" : "\n");
    return text;
  }
  void restart_from(const std::string& saved, std::size_t logged_before, std::size_t checkpoint, std::size_t crash) {
    use(rule_);
    ASSERT_TRUE(engine_->restore(saved));
    for (std::size_t i = logged_before; i < logged_.size(); ++i) engine_->observe_logged(logged_[i]);
    sequence_ = std::max<std::uint64_t>(engine_->position().sequence, 1);
    for (std::size_t i = checkpoint; i < crash; ++i) {
      if (is_reading(kStory[i])) take(kStory[i]);
    }
    const std::string last = crash == 0 ? "t=0" : kStory[crash - 1];
    const std::string time = last.starts_with("ack") ? last.substr(4) : last.substr(2, last.find(' ') - 2);
    take("t=" + time + " tick");
  }

  static const std::vector<std::string> kStory;
  RuleOptions rule_;
};

const std::vector<std::string> OperatorRestart::kStory{
    "t=1 80",  "t=2 95",  "t=3 80",    "t=4 tick",  "ack 5",   "t=5 tick",  "t=6 80",  "t=9 tick",  "t=10 95",
    "ack 11",  "t=12 88", "t=13 80",   "t=14 95",   "t=15 80", "t=21 tick", "ack 22",  "t=22 tick", "t=23 91",
    "t=24 80", "ack 25",  "t=25 tick", "t=31 tick", "t=32 95", "t=33 80",   "t=40 95", "t=41 80",   "t=47 tick"};

TEST_P(OperatorRestart, AnywhereComesToTheSame) {
  const std::string whole = run(kStory.size(), kStory.size());
  for (std::size_t crash = 0; crash <= kStory.size(); ++crash) {
    for (std::size_t checkpoint = 0; checkpoint <= crash; ++checkpoint) {
      ASSERT_EQ(run(checkpoint, crash), whole) << "checkpoint before " << checkpoint << ", crash before " << crash;
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Rules, OperatorRestart, ::testing::Combine(::testing::Bool(), ::testing::Values(0, 5)));

TEST_F(OperatorTest, WhatIsSaidIsReadBack) {
  use(threshold("> 90"));
  feed("t=0 95");
  acknowledge(1);
  shelve(2, 100);
  for (const AlarmTransition& said : logged_) {
    const auto read = parse_alarm_document(to_document(said));
    ASSERT_TRUE(read) << read.error().message;
    EXPECT_EQ(*read, said);
  }
  EXPECT_THAT(to_document(logged_.at(1)),
              ::testing::HasSubstr("\"raised\":true,\"by\":\"ann\",\"note\":\"on my way\",\"until\":1760000100000}"));
  EXPECT_FALSE(
      parse_alarm_document(R"({"alarm":"a/b","rule":"a","tag":"b","state":"shelved","severity":"info","message":"",)"
                           R"("value":null,"time":1,"cause":{"epoch":0,"seq":0},"occurrence":{"epoch":0,"seq":0}})"))
      << "until when?";
}

}  // namespace
}  // namespace tidegate::rules
