#include "rules/saved_state.h"

#include <random>

#include "tests/rules/engine_fixture.h"

namespace tidegate::rules::testing {
namespace {

class SavedRules : public EngineFixture {
 protected:
  /// An engine with everything in it that can be saved.
  void use_busy_engine() {
    RuleOptions odd = anomaly(5);
    odd.raise_after = seconds(5);
    use({with_delays(threshold("> 90", "< 85"), seconds(10), seconds(30)), odd});
    feed("t=0 95, t=1 96.125, t=2 0.1, t=3 95, t=14 tick, t=15 80, t=16 1e-300");
    feed("t=4 95, t=5 true", "boiler/pending");
    feed("t=6 95", "boiler/é \"quoted\"");
    restart();  // which puts the tags into the order that every later save() keeps
    ASSERT_EQ(engine_->active().size(), 1U);
    ASSERT_TRUE(engine_->next_deadline());
  }
  static std::string with_checksum(const std::string& checked_part) { return state_head(checked_part) + checked_part; }
  static std::string checked_part(const std::string& saved) { return saved.substr(state_head("").size()); }
  std::string fresh_state() {
    TagRegistry tags;
    return RuleEngine(options_, tags).save();
  }
};

TEST_F(SavedRules, read_back_to_the_same_text) {
  use_busy_engine();
  const std::string before = engine_->save();
  restart();
  EXPECT_EQ(engine_->save(), before);
  EXPECT_EQ(engine_->active().size(), 1U);
}

TEST_F(SavedRules, go_on_where_they_were) {
  use(with_delays(threshold("> 90"), seconds(10), seconds(20)));
  EXPECT_EQ(feed("t=1 95"), "");
  restart();
  EXPECT_EQ(engine_->position(), (Position{1, 2}));
  EXPECT_EQ(feed("t=11 tick"), "raised at t=11");
  restart();
  EXPECT_EQ(feed("t=12 96"), "") << "raised already";
  EXPECT_EQ(feed("t=13 80"), "");
  restart();
  EXPECT_EQ(feed("t=33 80"), "cleared at t=33");
  EXPECT_EQ(fresh_.front().occurrence, (Position{1, 1}));
}

TEST_F(SavedRules, notice_a_reboot_while_they_were_saved) {
  use(with_delays(threshold("> 90"), seconds(10)));
  feed("t=1 95");
  restart();
  EXPECT_EQ(feed("t=5 reboot, t=6 tick, t=1020 tick"), "");
}

TEST_F(SavedRules, notice_a_reboot_by_its_id_where_the_boot_time_goes_on) {
  use(with_delays(threshold("> 90"), seconds(10)));
  feed("t=1 95");
  EXPECT_EQ(feed("t=2 late-reboot, t=12 95, t=13 tick"), "");
  restart();
  EXPECT_EQ(feed("t=14 late-reboot, t=23 95, t=24 tick"), "");
  EXPECT_EQ(feed("t=33 95"), "raised at t=33");
}

TEST_F(SavedRules, let_no_delay_of_an_earlier_boot_run_out_however_late_this_one_is) {
  use(with_delays(threshold("> 90", "< 60"), seconds(10), seconds(10)));
  feed("t=1 95");
  restart();
  EXPECT_EQ(feed("t=5 late-reboot, t=20 tick, t=21 tick"), "");
  EXPECT_EQ(next_deadline(), std::nullopt);
  EXPECT_EQ(feed("t=22 95, t=31 tick"), "") << "the first reading begins it anew";
  restart();
  EXPECT_EQ(feed("t=32 tick"), "raised at t=32") << "a delay of this boot goes on in the next process";

  feed("t=33 20");
  restart();
  EXPECT_EQ(feed("t=34 late-reboot, t=50 tick, t=51 20, t=60 tick"), "");
  EXPECT_EQ(feed("t=61 tick"), "cleared at t=61");
}

TEST_F(SavedRules, remember_the_boot_that_a_tick_began) {
  use(with_delays(threshold("> 90"), seconds(10)));
  feed("t=1 80, t=5 late-reboot, t=6 tick");
  restart();
  EXPECT_EQ(feed("t=7 95, t=17 tick"), "raised at t=17");
}

TEST_F(SavedRules, drop_the_state_of_rules_that_decide_differently_now) {
  const auto raised_after = [&](const RuleOptions& changed) {
    use(threshold("> 90", "< 85"));
    feed("t=0 95");
    restart_with({changed});
    return engine_->active().size();
  };
  RuleOptions reworded = threshold("> 90", "< 85");
  reworded.message = "new words";
  reworded.severity = Severity::critical;
  EXPECT_EQ(raised_after(reworded), 1U) << "words decide nothing";
  RuleOptions renamed = threshold("> 90", "< 85");
  renamed.name = "other";
  EXPECT_EQ(raised_after(renamed), 0U);
  RuleOptions elsewhere = threshold("> 90", "< 85");
  elsewhere.tags = {"pump/*"};
  EXPECT_EQ(raised_after(elsewhere), 0U);
  EXPECT_EQ(raised_after(threshold("> 91", "< 85")), 0U);
  EXPECT_EQ(raised_after(threshold(">= 90", "< 85")), 0U);
  EXPECT_EQ(raised_after(threshold("> 90", "< 84")), 0U);
  EXPECT_EQ(raised_after(threshold("> 90")), 0U);
  EXPECT_EQ(raised_after(with_delays(threshold("> 90", "< 85"), seconds(1))), 0U);
  EXPECT_EQ(raised_after(with_delays(threshold("> 90", "< 85"), {}, seconds(1))), 0U);
}

TEST_F(SavedRules, keep_the_other_rules_when_one_is_new) {
  use(threshold("> 90"));
  feed("t=0 95");
  RuleOptions added = threshold("> 50");
  added.name = "warm";
  restart_with({added, threshold("> 90")});
  ASSERT_EQ(engine_->active().size(), 1U);
  EXPECT_EQ(feed("t=1 80"), "raised at t=1, cleared at t=1");
}

TEST_F(SavedRules, leave_out_alarms_that_are_as_new) {
  use(threshold("> 90"));
  for (int i = 0; i < 100; ++i) feed("t=0 50", "boiler/" + std::to_string(i));
  EXPECT_LT(engine_->save().size(), 300U);
}

TEST_F(SavedRules, refuse_every_truncation_and_are_then_as_new) {
  use_busy_engine();
  const std::string saved = engine_->save();
  const std::string fresh = fresh_state();
  for (std::size_t length = 0; length < saved.size(); ++length) {
    const auto restored = engine_->restore(std::string_view(saved).substr(0, length));
    ASSERT_FALSE(restored) << length;
    ASSERT_EQ(restored.error().code, ErrorCode::corrupt) << length;
    ASSERT_EQ(engine_->save(), fresh) << length;
  }
  EXPECT_TRUE(engine_->restore(saved));
  EXPECT_EQ(engine_->save(), saved);
}

TEST_F(SavedRules, refuse_every_flipped_bit) {
  use_busy_engine();
  const std::string saved = engine_->save();
  for (std::size_t i = 0; i < saved.size() * 8; ++i) {
    std::string bad = saved;
    bad[i / 8] = static_cast<char>(static_cast<unsigned char>(bad[i / 8]) ^ (1U << (i % 8)));
    const auto restored = engine_->restore(bad);
    ASSERT_FALSE(restored) << "bit " << i;
    ASSERT_EQ(restored.error().code, ErrorCode::corrupt) << "bit " << i;
  }
}

TEST_F(SavedRules, refuse_garbage) {
  use_busy_engine();
  const std::string fresh = fresh_state();
  for (const std::string text : {"", "{}", "null", "[]", "\xff\xfe", "{\"version\":2}", "SQLite format 3"}) {
    ASSERT_FALSE(engine_->restore(text)) << text;
    ASSERT_EQ(engine_->save(), fresh) << text;
  }
  EXPECT_FALSE(engine_->restore(with_checksum("")));
  EXPECT_FALSE(engine_->restore(with_checksum("}")));
  EXPECT_FALSE(engine_->restore(with_checksum("\"position\":{\"epoch\":1,\"seq\":1},\"boot\":0,\"rules\":[7]}")));
  EXPECT_TRUE(engine_->restore(with_checksum("\"position\":{\"epoch\":1,\"seq\":1},\"boot\":0,\"rules\":[]}")));
}

TEST_F(SavedRules, refuse_what_no_engine_can_have_saved) {
  use_busy_engine();
  const std::string part = checked_part(engine_->save());
  const auto refused = [&](const std::string& key, const std::string& by) {
    std::string bad = part;
    const std::size_t at = bad.find("\"" + key + "\":");
    EXPECT_NE(at, std::string::npos) << key;
    const std::size_t value = at + key.size() + 3;
    bad.replace(value, bad.find_first_of(",}", value) - value, by);
    return !engine_->restore(with_checksum(bad));
  };
  EXPECT_FALSE(refused("variance", "1.0")) << "the replacing itself spoils nothing";
  EXPECT_TRUE(refused("variance", "-1.0"));
  EXPECT_TRUE(refused("variance", "1e308"));
  EXPECT_TRUE(refused("mean", "1e200"));
  EXPECT_TRUE(refused("count", "4294967296"));
  EXPECT_TRUE(refused("deadline", "0"));
  EXPECT_TRUE(refused("tag", "\"a//b\""));
  EXPECT_TRUE(refused("state", "\"cleared\""));
  EXPECT_TRUE(refused("boot", "1e9"));
  EXPECT_TRUE(refused("epoch", "-1"));
}

TEST_F(SavedRules, stand_whatever_else_a_right_checksum_stands_over) {
  use_busy_engine();
  const std::string part = checked_part(engine_->save());
  for (std::size_t length = 0; length < part.size(); ++length) {
    ASSERT_FALSE(engine_->restore(with_checksum(part.substr(0, length)))) << length;
  }
  constexpr std::string_view kPieces[] = {"9", "-",  "e308", "null", "{",     "}", "[",
                                          "]", "\"", ",",    ":",    "1e999", ".", "0"};
  const std::uint64_t seed = 20261121;
  SCOPED_TRACE(seed);
  std::mt19937_64 random(seed);
  for (int round = 0; round < 20'000; ++round) {
    std::string bad = part;
    for (std::uint64_t changes = random() % 3 + 1; changes != 0; --changes) {
      const std::size_t at = static_cast<std::size_t>(random() % bad.size());
      if (random() % 2 == 0) {
        bad[at] = static_cast<char>(random());
      } else {
        bad.replace(at, random() % 4, kPieces[random() % std::size(kPieces)]);
      }
    }
    if (!engine_->restore(with_checksum(bad))) continue;
    // What was believed must be usable, and save() must write what restore() reads.
    std::vector<AlarmTransition> out;
    engine_->tick({kWallStart, kBootStart + seconds(20), ClockQuality::synced}, BootId{1}, out);
    RecordBatch batch;
    batch.epoch = 0xffffffffU;
    batch.first = 1;
    batch.times = {kWallStart, BootTime::max(), ClockQuality::synced};
    Reading& reading = batch.readings.emplace_back();
    reading.tag = tags_.intern("boiler/temp");
    reading.value = 1e308;
    engine_->apply(batch, out);
    const auto again = engine_->restore(engine_->save());
    ASSERT_TRUE(again) << again.error().message << "\n" << bad;
  }
}

}  // namespace
}  // namespace tidegate::rules::testing
