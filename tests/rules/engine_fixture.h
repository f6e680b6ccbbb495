#pragma once

#include <gtest/gtest.h>

#include <charconv>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "core/tag.h"
#include "core/text.h"
#include "rules/rule_engine.h"

namespace tidegate::rules::testing {

using std::chrono::milliseconds;
using std::chrono::seconds;

inline constexpr WallTime kWallStart{seconds(1'760'000'000)};
inline constexpr BootTime kBootStart{seconds(1'000)};

inline Condition condition(const std::string& text) {
  auto parsed = parse_condition(text);
  EXPECT_TRUE(parsed) << text;
  return parsed.value_or(Condition{});
}

inline RuleOptions threshold(const std::string& raise, const std::string& clear = "") {
  RuleOptions rule;
  rule.name = "hot";
  rule.tags = {"boiler/*"};
  rule.raise = condition(raise);
  if (!clear.empty()) rule.clear = condition(clear);
  return rule;
}

inline RuleOptions anomaly(std::uint32_t warmup, double sensitivity = 4.0) {
  RuleOptions rule;
  rule.name = "odd";
  rule.type = RuleType::anomaly;
  rule.tags = {"boiler/*"};
  rule.warmup = warmup;
  rule.sensitivity = sensitivity;
  return rule;
}

inline RuleOptions with_delays(RuleOptions rule, Duration raise_after, Duration clear_after = {}) {
  rule.raise_after = raise_after;
  rule.clear_after = clear_after;
  return rule;
}

/// An engine that is fed by transcript: "t=0 80, t=1 95, t=12 tick" and answers "raised at t=11". Steps, each at a
/// second: a number, `true`, `false`, `bad`, `uncertain:N`, `null`, `text`, `tick`, `reboot` (boot time begins again),
/// `late-reboot` (it goes on, in another boot).
/// Each reading is a record and a frame of its own, sequences from 1.
class EngineFixture : public ::testing::Test {
 protected:
  void use(RuleOptions rule) { use(std::vector<RuleOptions>{std::move(rule)}); }
  void use(std::vector<RuleOptions> rules) {
    options_ = std::move(rules);
    engine_ = std::make_unique<RuleEngine>(options_, tags_);
  }
  /// A new engine with the old one's saved state, as after a restart.
  void restart() { restart_with(options_); }
  void restart_with(std::vector<RuleOptions> rules) {
    const std::string saved = engine_->save();
    use(std::move(rules));
    const auto restored = engine_->restore(saved);
    ASSERT_TRUE(restored) << restored.error().message;
  }

  std::string feed(std::string_view steps, std::string_view tag = "boiler/temp") {
    fresh_.clear();
    for (std::string_view step : split(steps, ',')) {
      while (!step.empty() && step.front() == ' ') step.remove_prefix(1);
      if (!step.empty()) take(step, tag);
    }
    return transcript(fresh_);
  }

  static std::string transcript(const std::vector<AlarmTransition>& transitions) {
    std::string out;
    for (const AlarmTransition& transition : transitions) {
      if (!out.empty()) out += ", ";
      const double at = static_cast<double>((transition.time - kWallStart).count()) / 1e9;
      out += fmt_seconds(std::string(to_string(transition.state)) + " at t=", at);
    }
    return out;
  }

  std::optional<Duration> next_deadline() const {
    const auto deadline = engine_->next_deadline();
    if (!deadline) return std::nullopt;
    return *deadline - boot_zero_;
  }

  TagRegistry tags_;
  std::vector<RuleOptions> options_;
  std::unique_ptr<RuleEngine> engine_;
  std::vector<AlarmTransition> fresh_;  // what the last feed() brought about
  std::uint32_t epoch_ = 1;
  std::uint64_t sequence_ = 1;

 private:
  static std::string fmt_seconds(std::string text, double at) {
    std::array<char, 32> digits{};
    const auto end = std::to_chars(digits.data(), digits.data() + digits.size(), at);
    return text.append(digits.data(), end.ptr);
  }

  void take(std::string_view step, std::string_view tag) {
    ASSERT_TRUE(step.starts_with("t=")) << step;
    const std::size_t blank = step.find(' ');
    ASSERT_NE(blank, std::string_view::npos) << step;
    double at = 0;
    std::from_chars(step.data() + 2, step.data() + blank, at);
    const auto elapsed = std::chrono::duration_cast<Duration>(std::chrono::duration<double>(at));
    const std::string_view word = step.substr(blank + 1);
    if (word == "reboot" || word == "late-reboot") {
      // A late one is noticed when the new boot is older already than the old one was.
      if (word == "reboot") boot_zero_ = BootTime{} - elapsed;
      ++boot_id_[0];
      return;
    }
    const FrameTimes times{kWallStart + elapsed, boot_zero_ + elapsed, ClockQuality::synced};
    if (word == "tick") {
      engine_->tick(times, boot_id_, fresh_);
    } else {
      apply(word, tag, times);
    }
  }

  void apply(std::string_view word, std::string_view tag, const FrameTimes& times) {
    RecordBatch batch;
    batch.epoch = epoch_;
    batch.first = sequence_++;
    batch.times = times;
    batch.boot_id = boot_id_;
    Reading& reading = batch.readings.emplace_back();
    reading.tag = tags_.intern(tag);
    reading.time = times.wall;
    if (word.starts_with("uncertain:")) {
      reading.quality = Quality::uncertain;
      word.remove_prefix(word.find(':') + 1);
    }
    if (word == "bad") {
      reading.quality = Quality::bad;
      reading.value = 0.0;
    } else if (word == "text") {
      reading.value = std::string("99");
    } else if (word == "true" || word == "false") {
      reading.value = word == "true";
    } else if (word != "null") {
      double number = 0;
      const auto parsed = std::from_chars(word.data(), word.data() + word.size(), number);
      ASSERT_EQ(parsed.ptr, word.data() + word.size()) << word;
      reading.value = number;
    }
    engine_->apply(batch, fresh_);
  }

  BootTime boot_zero_ = kBootStart;  // boot time of t=0
  BootId boot_id_{1};
};

}  // namespace tidegate::rules::testing
