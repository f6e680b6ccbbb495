#pragma once

#include <cstdint>

namespace tidegate::rules {

/// The running mean and variance of a signal, with exponentially falling weights, and the judgement of each value by
/// what came before it.
///
///   delta = x - mean;  mean += w * delta;  variance = (1 - w) * (variance + w * delta * delta)
///
/// (T. Finch, "Incremental calculation of weighted mean and variance", 2009, section 9; after D. H. D. West, "Updating
/// mean and variance estimates: an improved method", CACM 22(9), 1979.) The weight w is 1/n for the n-th value until
/// that falls under alpha, so that the first values count alike and the start has no bias.
///
/// A value beyond `sensitivity` standard deviations must not become the baseline at once, yet a lasting shift must be
/// learnt in the end: it is pulled in to the limit (three standard deviations at least) and weighs a tenth of alpha.
/// During warm-up all values count in full and nothing is judged.
/// A signal that never moved has no deviation: the least one assumed is 16 ulp of the mean, and 1e-12. Values beyond
/// +-1e150 count as that, so that no square overflows: no state is ever NaN or infinite.
class Ewma {
 public:
  struct Parameters {
    double alpha = 0.05;         // 0 < alpha < 1
    double sensitivity = 4.0;    // > 0
    std::uint32_t warmup = 200;  // fewer than 2 count as 2
  };
  struct State {
    std::uint32_t count = 0;
    double mean = 0;
    double variance = 0;
    bool operator==(const State&) const = default;
  };
  /// calm: within half the sensitivity; restless: between that and the limit.
  enum class Judgement : std::uint8_t { warming_up, calm, restless, anomalous };

  Ewma() = default;
  explicit Ewma(const State& state) : state_(state) {}

  /// Judges the value, then learns it.
  Judgement take(double value, const Parameters& parameters);
  const State& state() const { return state_; }

  static constexpr double kValueMax = 1e150;

 private:
  void learn(double delta, double weight);
  double full_weight(double alpha) const;

  State state_;
};

/// Whether a stored state is one that take() can have left behind.
bool is_sound(const Ewma::State& state);

}  // namespace tidegate::rules
