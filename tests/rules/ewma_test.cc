#include "rules/ewma.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <random>
#include <vector>

namespace tidegate::rules {
namespace {

using Judgement = Ewma::Judgement;

TEST(Ewma, has_the_mean_and_variance_of_all_values_while_these_are_few) {
  const std::vector<double> values{2, 4, 4, 4, 5, 5, 7, 9};
  Ewma ewma;
  for (const double value : values) ewma.take(value, {0.05, 4.0, 200});
  EXPECT_DOUBLE_EQ(ewma.state().mean, 5.0);
  EXPECT_DOUBLE_EQ(ewma.state().variance, 4.0);
}

TEST(Ewma, agrees_with_the_weighted_sums_that_it_stands_for) {
  std::mt19937_64 random(7);
  std::normal_distribution<double> noise(1000.0, 3.0);
  constexpr double kAlpha = 0.125;
  std::vector<double> values;
  std::vector<double> weights;  // of the weighted mean, worked out from the definition
  Ewma ewma;
  for (int i = 0; i < 300; ++i) {
    values.push_back(noise(random));
    const double weight = std::max(kAlpha, 1.0 / (i + 1));
    for (double& older : weights) older *= 1 - weight;
    weights.push_back(weight);
    ewma.take(values.back(), {kAlpha, 4.0, 1000});
    double mean = 0;
    for (std::size_t k = 0; k < values.size(); ++k) mean += weights[k] * values[k];
    double variance = 0;
    for (std::size_t k = 0; k < values.size(); ++k) variance += weights[k] * (values[k] - mean) * (values[k] - mean);
    ASSERT_NEAR(ewma.state().mean, mean, 1e-9) << i;
    ASSERT_NEAR(ewma.state().variance, variance, 1e-9) << i;
  }
}

TEST(Ewma, judges_nothing_during_warm_up) {
  Ewma ewma;
  const Ewma::Parameters parameters{0.05, 4.0, 10};
  for (int i = 0; i < 10; ++i) EXPECT_EQ(ewma.take(i == 5 ? 1e6 : 1.0, parameters), Judgement::warming_up) << i;
  EXPECT_NE(ewma.take(1.0, parameters), Judgement::warming_up);
}

TEST(Ewma, tells_calm_restless_and_anomalous_apart) {
  const auto judged = [](double value) {
    Ewma ewma(Ewma::State{500, 100.0, 4.0});  // two a standard deviation
    return ewma.take(value, {0.05, 4.0, 200});
  };
  EXPECT_EQ(judged(100), Judgement::calm);
  EXPECT_EQ(judged(104), Judgement::calm);
  EXPECT_EQ(judged(95.9), Judgement::restless);
  EXPECT_EQ(judged(108), Judgement::restless);
  EXPECT_EQ(judged(108.1), Judgement::anomalous);
  EXPECT_EQ(judged(91.9), Judgement::anomalous);
}

TEST(Ewma, finds_any_change_of_a_constant_signal_anomalous) {
  for (const double constant : {0.0, 1.0, -20.1, 1e6, 1e12, -1e12}) {
    Ewma ewma;
    const Ewma::Parameters parameters{0.05, 4.0, 50};
    for (int i = 0; i < 50; ++i) ewma.take(constant, parameters);
    for (int i = 0; i < 1000; ++i) ASSERT_EQ(ewma.take(constant, parameters), Judgement::calm) << constant;
    EXPECT_EQ(ewma.take(constant + 1, parameters), Judgement::anomalous) << constant;
    EXPECT_EQ(ewma.take(constant, parameters), Judgement::calm) << constant << ": one outlier moved the baseline";
  }
}

TEST(Ewma, is_not_blinded_by_one_huge_outlier) {
  std::mt19937_64 random(11);
  std::normal_distribution<double> noise(50.0, 1.0);
  const Ewma::Parameters parameters{0.05, 4.0, 200};
  Ewma ewma;
  for (int i = 0; i < 500; ++i) ewma.take(noise(random), parameters);
  const double deviation = std::sqrt(ewma.state().variance);
  EXPECT_EQ(ewma.take(1e9, parameters), Judgement::anomalous);
  EXPECT_LT(std::sqrt(ewma.state().variance), 1.1 * deviation);
  EXPECT_EQ(ewma.take(60.0, parameters), Judgement::anomalous) << "a small anomaly right behind it is still seen";
}

TEST(Ewma, learns_a_lasting_shift_in_the_end) {
  for (const double sensitivity : {0.5, 1.0, 4.0, 10.0}) {
    for (const double alpha : {0.01, 0.05, 0.3, 0.9}) {
      const Ewma::Parameters parameters{alpha, sensitivity, 50};
      Ewma ewma;
      for (int i = 0; i < 100; ++i) ewma.take(20.0, parameters);
      int readings = 0;
      while (ewma.take(21.0, parameters) != Judgement::calm && readings < 100'000) ++readings;
      EXPECT_LT(readings, 100 + 100 / alpha) << "alpha " << alpha << " sensitivity " << sensitivity;
      EXPECT_GT(readings, 2) << "alpha " << alpha << " sensitivity " << sensitivity;
    }
  }
}

TEST(Ewma, never_leaves_the_numbers) {
  constexpr double kMost = std::numeric_limits<double>::max();
  const std::vector<double> extremes{kMost, -kMost, 0.0, -0.0, 5e-324, -5e-324, 1e150, -1e150, 1e-300, 1.0};
  for (const std::uint64_t seed : {1U, 2U, 3U}) {
    std::mt19937_64 random(seed);
    for (const double alpha : {1e-9, 0.05, 0.999999}) {
      Ewma ewma;
      for (int i = 0; i < 5000; ++i) {
        ewma.take(extremes[static_cast<std::size_t>(random() % extremes.size())],
                  {alpha, 4.0, static_cast<std::uint32_t>(random() % 20)});
        ASSERT_TRUE(is_sound(ewma.state())) << "seed " << seed << " alpha " << alpha << " reading " << i << ": "
                                            << ewma.state().mean << " " << ewma.state().variance;
      }
    }
  }
}

}  // namespace
}  // namespace tidegate::rules
