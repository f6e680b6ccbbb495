#include "tests/rules/engine_fixture.h"

namespace tidegate::rules::testing {
namespace {

using ThresholdRule = EngineFixture;

TEST_F(ThresholdRule, raises_with_the_first_reading_that_meets_the_condition_and_clears_with_the_first_that_does_not) {
  use(threshold("> 90"));
  EXPECT_EQ(feed("t=0 80, t=1 90, t=2 90.5, t=3 91, t=4 90, t=5 89"), "raised at t=2, cleared at t=4");
}

TEST_F(ThresholdRule, keeps_the_alarm_between_the_raise_and_the_clear_level) {
  use(threshold("> 90", "< 85"));
  EXPECT_EQ(feed("t=0 89, t=1 91, t=2 88, t=3 85, t=4 91, t=5 84.9, t=6 89"), "raised at t=1, cleared at t=5");
}

TEST_F(ThresholdRule, judges_by_each_comparison) {
  const auto raises = [&](const std::string& raise, const char* value) {
    use(threshold(raise));
    return feed(std::string("t=0 ") + value) == "raised at t=0";
  };
  EXPECT_FALSE(raises("> 5", "5"));
  EXPECT_TRUE(raises(">= 5", "5"));
  EXPECT_FALSE(raises("< 5", "5"));
  EXPECT_TRUE(raises("<= 5", "5"));
  EXPECT_TRUE(raises("== 5", "5"));
  EXPECT_FALSE(raises("== 5", "5.5"));
  EXPECT_TRUE(raises("!= 5", "5.5"));
  EXPECT_FALSE(raises("!= 5", "5"));
}

TEST_F(ThresholdRule, takes_a_switch_for_one_and_nought) {
  use(threshold("== 1"));
  EXPECT_EQ(feed("t=0 false, t=1 true, t=2 false"), "raised at t=1, cleared at t=2");
}

TEST_F(ThresholdRule, waits_until_the_condition_has_held_for_the_delay) {
  use(with_delays(threshold("> 90"), seconds(10)));
  EXPECT_EQ(feed("t=0 80, t=1 95, t=5 96, t=10 97, t=11 98, t=12 99"), "raised at t=11");
}

TEST_F(ThresholdRule, begins_the_delay_anew_when_one_reading_does_not_meet_the_condition) {
  use(with_delays(threshold("> 90"), seconds(10)));
  EXPECT_EQ(feed("t=1 95, t=10 90, t=11 95, t=20 95"), "");
  EXPECT_EQ(feed("t=21 95"), "raised at t=21");
}

TEST_F(ThresholdRule, clears_only_after_the_clear_delay_and_not_inside_the_hysteresis) {
  use(with_delays(threshold("> 90", "< 85"), {}, seconds(30)));
  EXPECT_EQ(feed("t=0 95, t=1 84, t=20 86, t=32 84, t=61 80"), "raised at t=0");
  EXPECT_EQ(feed("t=62 80"), "cleared at t=62");
}

TEST_F(ThresholdRule, lets_a_delay_run_out_by_a_tick_when_no_reading_comes) {
  use(with_delays(threshold("> 90"), seconds(10)));
  EXPECT_EQ(feed("t=1 95, t=10.9 tick"), "");
  EXPECT_EQ(feed("t=11 tick"), "raised at t=11");
  EXPECT_EQ(feed("t=12 tick"), "");
}

TEST_F(ThresholdRule, decides_the_same_whether_a_tick_comes_in_time_late_or_never) {
  for (const char* ticks : {"t=11 tick, ", "t=11.7 tick, ", "t=5 tick, ", ""}) {
    use(with_delays(threshold("> 90"), seconds(10)));
    sequence_ = 1;
    EXPECT_EQ(feed("t=1 95, t=3 96, " + std::string(ticks) + "t=12 80"), "raised at t=11, cleared at t=12") << ticks;
    EXPECT_EQ(fresh_.front().cause, (Position{1, 2})) << ticks;
    EXPECT_EQ(fresh_.front().value, Value(96.0)) << ticks;
  }
}

TEST_F(ThresholdRule, names_the_records_that_caused_and_raised_it) {
  use(with_delays(threshold("> 90"), seconds(10)));
  EXPECT_EQ(feed("t=0 80, t=1 95, t=2 96, t=11 tick, t=20 97, t=21 80"), "raised at t=11, cleared at t=21");
  EXPECT_EQ(fresh_[0].cause, (Position{1, 3}));  // the newest record judged when the delay ran out
  EXPECT_EQ(fresh_[0].occurrence, (Position{1, 3}));
  EXPECT_EQ(fresh_[1].cause, (Position{1, 5}));
  EXPECT_EQ(fresh_[1].occurrence, (Position{1, 3}));
  EXPECT_EQ(fresh_[1].alarm, "hot/boiler/temp");
}

TEST_F(ThresholdRule, ignores_bad_null_and_text_readings_in_every_state) {
  use(with_delays(threshold("> 90", "< 85"), seconds(10), seconds(10)));
  EXPECT_EQ(feed("t=0 bad, t=1 null, t=2 text, t=30 tick"), "") << "they begin nothing";
  EXPECT_EQ(feed("t=31 95, t=35 bad, t=36 null, t=37 text, t=41 bad"), "raised at t=41") << "nor end what runs";
  EXPECT_EQ(feed("t=50 bad, t=51 null, t=80 text"), "") << "nor clear";
  EXPECT_EQ(feed("t=81 80, t=85 bad, t=91 80"), "cleared at t=91");
}

TEST_F(ThresholdRule, never_names_an_ignored_reading_as_the_cause) {
  use(with_delays(threshold("> 90"), seconds(10)));
  EXPECT_EQ(feed("t=1 95, t=5 bad, t=11 tick"), "raised at t=11");
  EXPECT_EQ(fresh_.front().cause, (Position{1, 1}));
}

TEST_F(ThresholdRule, judges_uncertain_readings) {
  use(threshold("> 90"));
  EXPECT_EQ(feed("t=0 uncertain:95"), "raised at t=0");
}

TEST_F(ThresholdRule, begins_delays_anew_after_a_reboot) {
  use(with_delays(threshold("> 90"), seconds(10)));
  EXPECT_EQ(feed("t=1 95, t=5 reboot, t=6 95, t=11 95, t=15 95"), "");
  EXPECT_EQ(feed("t=16 95"), "raised at t=16");
}

TEST_F(ThresholdRule, lets_no_delay_of_another_boot_run_out_by_a_tick) {
  use(with_delays(threshold("> 90"), seconds(10)));
  EXPECT_EQ(feed("t=1 95, t=5 reboot, t=6 tick, t=1012 tick, t=1013 tick"), "");
  EXPECT_EQ(engine_->next_deadline(), std::nullopt);
}

TEST_F(ThresholdRule, takes_a_tick_that_is_a_little_older_than_the_last_frame_for_no_reboot) {
  use(with_delays(threshold("> 90"), seconds(10)));
  EXPECT_EQ(feed("t=1 95, t=0.5 tick, t=11 tick"), "raised at t=11");
}

TEST_F(ThresholdRule, keeps_a_raised_alarm_over_a_reboot) {
  use(threshold("> 90"));
  EXPECT_EQ(feed("t=1 95, t=5 reboot, t=6 95, t=7 80"), "raised at t=1, cleared at t=7");
}

TEST_F(ThresholdRule, says_when_the_next_delay_runs_out) {
  use(with_delays(threshold("> 90"), seconds(10), seconds(20)));
  EXPECT_EQ(next_deadline(), std::nullopt);
  feed("t=1 95");
  feed("t=3 95", "boiler/pressure");
  EXPECT_EQ(next_deadline(), seconds(11));
  feed("t=4 80");
  EXPECT_EQ(next_deadline(), seconds(13)) << "the earlier one was given up";
  EXPECT_EQ(feed("t=14 tick"), "raised at t=13");
  EXPECT_EQ(next_deadline(), std::nullopt);
  feed("t=15 80", "boiler/pressure");
  EXPECT_EQ(next_deadline(), seconds(35));
}

TEST_F(ThresholdRule, makes_one_alarm_a_matching_tag) {
  use(threshold("> 90"));
  EXPECT_EQ(feed("t=0 95", "boiler/a"), "raised at t=0");
  EXPECT_EQ(feed("t=1 95", "boiler/b"), "raised at t=1");
  EXPECT_EQ(feed("t=2 95", "pump/a"), "");
  EXPECT_EQ(feed("t=3 80", "boiler/a"), "cleared at t=3");
  ASSERT_EQ(engine_->active().size(), 1U);
  EXPECT_EQ(engine_->active().front().raised.tag, "boiler/b");
}

TEST_F(ThresholdRule, judges_a_tag_by_every_rule_that_covers_it_in_the_order_of_the_configuration) {
  RuleOptions second = threshold("> 50");
  second.name = "warm";
  second.tags = {"nothing", "*/temp"};
  use({threshold("> 90"), second});
  EXPECT_EQ(feed("t=0 95"), "raised at t=0, raised at t=0");
  EXPECT_EQ(fresh_[0].rule, "hot");
  EXPECT_EQ(fresh_[1].rule, "warm");
  EXPECT_EQ(feed("t=1 60"), "cleared at t=1");
}

TEST_F(ThresholdRule, ends_delays_in_the_order_of_their_deadlines) {
  RuleOptions slow = with_delays(threshold("> 90"), seconds(10));
  slow.name = "slow";
  RuleOptions quick = with_delays(threshold("> 90"), seconds(4));
  quick.name = "quick";
  use({slow, quick});
  feed("t=0 95", "boiler/a");
  feed("t=1 95", "boiler/b");
  feed("t=30 tick");
  std::string order;
  for (const AlarmTransition& transition : fresh_) order += transition.alarm + " ";
  EXPECT_EQ(order, "quick/boiler/a quick/boiler/b slow/boiler/a slow/boiler/b ");
}

TEST_F(ThresholdRule, does_not_clear_a_latched_alarm_by_itself) {
  RuleOptions rule = threshold("> 90");
  rule.latch = true;
  use(rule);
  EXPECT_EQ(feed("t=0 95, t=1 80, t=2 95, t=3 80, t=99 tick"), "raised at t=0");
  EXPECT_EQ(engine_->active().size(), 1U);
}

TEST_F(ThresholdRule, skips_what_it_has_applied_already) {
  use(threshold("> 90"));
  RecordBatch batch;
  batch.epoch = 1;
  batch.first = 10;
  for (const double value : {95.0, 80.0, 95.0}) {
    Reading& reading = batch.readings.emplace_back();
    reading.tag = tags_.intern("boiler/temp");
    reading.value = value;
  }
  std::vector<AlarmTransition> out;
  engine_->apply(batch, out);
  EXPECT_EQ(out.size(), 3U);
  engine_->apply(batch, out);
  EXPECT_EQ(out.size(), 3U) << "the whole batch again";
  batch.first = 11;
  batch.readings.back().value = 80.0;
  engine_->apply(batch, out);
  ASSERT_EQ(out.size(), 4U) << "two readings again and one new one";
  EXPECT_EQ(out.back().cause, (Position{1, 13}));
  EXPECT_EQ(engine_->position(), (Position{1, 14}));
  batch.epoch = 2;
  batch.first = 12;
  engine_->apply(batch, out);
  EXPECT_EQ(out.size(), 6U) << "a new epoch's records are new, whatever their sequences";
}

TEST_F(ThresholdRule, leaves_other_streams_and_unknown_tags_alone) {
  use(threshold("> 90"));
  RecordBatch batch;
  batch.stream = Stream::alarms;
  batch.epoch = 1;
  batch.first = 1;
  batch.documents = {"{}"};
  std::vector<AlarmTransition> out;
  engine_->apply(batch, out);
  EXPECT_EQ(engine_->position(), Position{});
  RecordBatch readings;
  readings.epoch = 1;
  readings.first = 1;
  for (const TagId id : {kNoTag, TagId{12345}}) {
    Reading& reading = readings.readings.emplace_back();
    reading.tag = id;
    reading.value = 99.0;
  }
  engine_->apply(readings, out);
  EXPECT_TRUE(out.empty());
  EXPECT_EQ(engine_->position(), (Position{1, 3}));
}

TEST_F(ThresholdRule, that_matches_no_tag_is_named_until_there_is_one) {
  RuleOptions other = threshold("> 90");
  other.name = "wet";
  other.tags = {"pump/*", "tank/level"};
  use({threshold("> 90"), other});
  EXPECT_EQ(engine_->idle_rules(), (std::vector<std::string>{"hot", "wet"}));
  feed("t=0 80");
  EXPECT_EQ(engine_->idle_rules(), (std::vector<std::string>{"wet"}));
  restart();
  EXPECT_EQ(engine_->idle_rules(), (std::vector<std::string>{"wet"})) << "the tag is known, if not heard of yet";
  feed("t=1 80", "tank/level");
  EXPECT_TRUE(engine_->idle_rules().empty());
}

TEST_F(ThresholdRule, stands_delays_and_times_at_the_ends_of_their_axes) {
  use(with_delays(threshold("> 90"), Duration::max(), Duration::max()));
  EXPECT_EQ(feed("t=0 95, t=1000000 95, t=2000000 tick"), "");
  EXPECT_EQ(engine_->next_deadline(), BootTime::max());
}

}  // namespace
}  // namespace tidegate::rules::testing
