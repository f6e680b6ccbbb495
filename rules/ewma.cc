#include "rules/ewma.h"

#include <algorithm>
#include <cmath>
#include <limits>

namespace tidegate::rules {
namespace {

constexpr double kLeastDeviation = 1e-12;
constexpr double kLeastRelativeDeviation = 16 * std::numeric_limits<double>::epsilon();
// Under about 1.03 deviations a pulled-in value would not widen the variance, and a shift would never be learnt.
constexpr double kLeastPull = 3.0;
constexpr double kAnomalousShare = 0.1;

}  // namespace

Ewma::Judgement Ewma::take(double value, const Parameters& parameters) {
  const double x = std::clamp(value, -kValueMax, kValueMax);
  const double delta = x - state_.mean;
  if (state_.count < std::max(parameters.warmup, 2U)) {
    learn(delta, full_weight(parameters.alpha));
    return Judgement::warming_up;
  }
  const double least = std::max(kLeastDeviation, kLeastRelativeDeviation * std::abs(state_.mean));
  const double deviation = std::max(std::sqrt(state_.variance), least);
  const double limit = parameters.sensitivity * deviation;
  const double distance = std::abs(delta);
  if (distance > limit) {
    const double pull = std::max(parameters.sensitivity, kLeastPull) * deviation;
    learn(std::clamp(delta, -pull, pull), kAnomalousShare * parameters.alpha);
    return Judgement::anomalous;
  }
  learn(delta, full_weight(parameters.alpha));
  return distance <= limit / 2 ? Judgement::calm : Judgement::restless;
}

void Ewma::learn(double delta, double weight) {
  const double step = weight * delta;
  state_.mean += step;
  state_.variance = (1 - weight) * (state_.variance + delta * step);
  if (state_.count < std::numeric_limits<std::uint32_t>::max()) ++state_.count;
}

double Ewma::full_weight(double alpha) const { return std::max(alpha, 1.0 / (1.0 + state_.count)); }

bool is_sound(const Ewma::State& state) {
  // A mean lies between the values and a variance under the square of the widest distance; twice that for rounding.
  constexpr double kMeanMax = 2 * Ewma::kValueMax;
  constexpr double kVarianceMax = 8 * Ewma::kValueMax * Ewma::kValueMax;
  return std::abs(state.mean) <= kMeanMax && state.variance >= 0 && state.variance <= kVarianceMax;
}

}  // namespace tidegate::rules
