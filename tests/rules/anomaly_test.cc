#include <random>

#include "tests/rules/engine_fixture.h"

namespace tidegate::rules::testing {
namespace {

class AnomalyRule : public EngineFixture {
 protected:
  /// One reading a second around 50 with a standard deviation of 1, from `from` to before `to`.
  std::string feed_noise(int from, int to) {
    std::string steps;
    for (int t = from; t < to; ++t) {
      steps += "t=" + std::to_string(t) + " " + std::to_string(50.0 + noise_(random_)) + ", ";
    }
    return feed(steps);
  }

 private:
  std::mt19937_64 random_{3};
  // Bounded, so that no test depends on how far a Gaussian's tail goes.
  std::uniform_real_distribution<double> noise_{-1.7, 1.7};
};

TEST_F(AnomalyRule, raises_nothing_during_warm_up_and_nothing_on_plain_noise) {
  use(anomaly(20));
  EXPECT_EQ(feed("t=0 50, t=1 51, t=2 900, t=3 50"), "");
  use(anomaly(200));
  EXPECT_EQ(feed_noise(0, 3000), "");
}

TEST_F(AnomalyRule, raises_beyond_the_sensitivity_and_clears_within_half_of_it) {
  use(anomaly(200));
  feed_noise(0, 300);
  EXPECT_EQ(feed("t=300 60, t=301 53.5, t=302 50.5, t=303 53.5"), "raised at t=300, cleared at t=302");
  EXPECT_EQ(fresh_.front().value, Value(60.0));
}

TEST_F(AnomalyRule, waits_for_its_delays) {
  use(with_delays(anomaly(200), seconds(3), seconds(2)));
  feed_noise(0, 300);
  EXPECT_EQ(feed("t=300 60, t=301 60, t=302 50"), "") << "back before the delay was over";
  EXPECT_EQ(feed("t=310 60, t=311 60, t=312 60, t=313 60"), "raised at t=313");
  EXPECT_EQ(feed("t=314 50, t=315 50, t=316 50"), "cleared at t=316");
}

TEST_F(AnomalyRule, sees_a_constant_signal_change_by_one) {
  use(anomaly(10));
  std::string steps;
  for (int t = 0; t < 30; ++t) steps += "t=" + std::to_string(t) + " 20, ";
  EXPECT_EQ(feed(steps), "");
  EXPECT_EQ(feed("t=30 21, t=31 20"), "raised at t=30, cleared at t=31");
}

TEST_F(AnomalyRule, clears_when_a_lasting_shift_has_become_the_baseline) {
  use(anomaly(50));
  feed_noise(0, 300);
  std::string steps;
  for (int t = 300; t < 700; ++t) steps += "t=" + std::to_string(t) + " 60, ";
  const std::string transitions = feed(steps);
  EXPECT_TRUE(transitions.starts_with("raised at t=300, cleared at t=3")) << transitions;
  EXPECT_EQ(fresh_.size(), 2U) << transitions;
}

TEST_F(AnomalyRule, keeps_a_baseline_for_each_tag) {
  use(anomaly(10));
  for (int t = 0; t < 20; ++t) {
    EXPECT_EQ(feed("t=" + std::to_string(t) + " 1", "boiler/a"), "");
    EXPECT_EQ(feed("t=" + std::to_string(t) + " 1000", "boiler/b"), "");
  }
  EXPECT_EQ(feed("t=20 1000", "boiler/a"), "raised at t=20");
  EXPECT_EQ(feed("t=20 1000", "boiler/b"), "");
}

TEST_F(AnomalyRule, learns_nothing_from_bad_readings) {
  use(anomaly(10));
  std::string steps;
  for (int t = 0; t < 10; ++t) steps += "t=" + std::to_string(t) + " 20, ";
  feed(steps);
  const std::string before = engine_->save();
  feed("t=10 bad, t=11 null, t=12 text");
  const auto baseline = [](const std::string& saved) { return saved.substr(saved.find("\"baseline\"")); };
  EXPECT_EQ(baseline(engine_->save()), baseline(before));
}

TEST_F(AnomalyRule, goes_on_bit_by_bit_after_a_restart) {
  use(anomaly(50));
  feed_noise(0, 137);
  for (int i = 0; i < 3; ++i) {
    const std::string before = engine_->save();
    restart();
    ASSERT_EQ(engine_->save(), before);
    feed_noise(137 + i * 100, 237 + i * 100);
  }
}

}  // namespace
}  // namespace tidegate::rules::testing
