// What judging costs a reading: on tags without a rule, below a threshold, pending, and with a learnt baseline.
#include <benchmark/benchmark.h>

#include <random>
#include <string>
#include <vector>

#include "rules/rule_engine.h"

namespace tidegate::rules {
namespace {

constexpr std::size_t kBatchReadings = 500;

RuleOptions make_rule(RuleType type, Condition raise) {
  RuleOptions rule;
  rule.name = "rule";
  rule.type = type;
  rule.tags = {"judged/*"};
  rule.raise = raise;
  rule.raise_after = std::chrono::hours(1);
  return rule;
}

/// Applies batches of noise around 50 on `tags` tags under `device`.
void judge_batches(benchmark::State& state, std::vector<RuleOptions> rules, const std::string& device) {
  TagRegistry tags;
  RuleEngine engine(std::move(rules), tags);
  std::mt19937_64 random(1);
  std::normal_distribution<double> noise(50.0, 1.0);
  const auto tag_count = static_cast<std::size_t>(state.range(0));
  RecordBatch batch;
  batch.epoch = 1;
  batch.first = 1;
  for (std::size_t i = 0; i < kBatchReadings; ++i) {
    Reading& reading = batch.readings.emplace_back();
    reading.tag = tags.intern(device + "/" + std::to_string(i % tag_count));
    reading.value = noise(random);
  }
  std::vector<AlarmTransition> out;
  for (auto _ : state) {
    engine.apply(batch, out);
    batch.first += batch.size();
    batch.times.boot += std::chrono::microseconds(1);
  }
  if (!out.empty()) state.SkipWithError("a transition was not meant to happen");
  state.SetItemsProcessed(static_cast<std::int64_t>(kBatchReadings) * state.iterations());
}

void no_rule_on_the_tags(benchmark::State& state) {
  judge_batches(state, {make_rule(RuleType::threshold, {Comparison::greater, 90})}, "other");
}
void threshold_not_met(benchmark::State& state) {
  judge_batches(state, {make_rule(RuleType::threshold, {Comparison::greater, 90})}, "judged");
}
void threshold_with_delay_pending(benchmark::State& state) {
  judge_batches(state, {make_rule(RuleType::threshold, {Comparison::less, 90})}, "judged");
}
void anomaly_ewma(benchmark::State& state) { judge_batches(state, {make_rule(RuleType::anomaly, {})}, "judged"); }

BENCHMARK(no_rule_on_the_tags)->Arg(8)->Arg(500);
BENCHMARK(threshold_not_met)->Arg(8)->Arg(500);
BENCHMARK(threshold_with_delay_pending)->Arg(8)->Arg(500);
BENCHMARK(anomaly_ewma)->Arg(8)->Arg(500);

/// The text of 1,000 baselines, as a checkpoint writes it.
void save_baselines(benchmark::State& state) {
  TagRegistry tags;
  RuleEngine engine({make_rule(RuleType::anomaly, {})}, tags);
  RecordBatch batch;
  batch.epoch = 1;
  for (int i = 0; i < 1000; ++i) {
    Reading& reading = batch.readings.emplace_back();
    reading.tag = tags.intern("judged/" + std::to_string(i));
    reading.value = 0.1 * i;
  }
  std::vector<AlarmTransition> out;
  engine.apply(batch, out);
  for (auto _ : state) benchmark::DoNotOptimize(engine.save());
}
BENCHMARK(save_baselines)->Unit(benchmark::kMicrosecond);

}  // namespace
}  // namespace tidegate::rules

BENCHMARK_MAIN();
