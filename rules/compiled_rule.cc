#include "rules/compiled_rule.h"

#include <algorithm>
#include <string_view>
#include <utility>

#include "core/text.h"

namespace tidegate::rules {
namespace {

class FingerprintText {
 public:
  explicit FingerprintText(std::string_view type) : text_(type) {}
  void add(std::string_view name, double number) {
    begin(name);
    append_number(text_, number);
  }
  void add(std::string_view name, std::int64_t number) {
    begin(name);
    append_number(text_, number);
  }
  void add(std::string_view name, const Condition& condition) {
    add(name, std::int64_t{static_cast<int>(condition.comparison)});
    text_ += ':';
    append_number(text_, condition.level);
  }
  std::string take() { return std::move(text_); }

 private:
  void begin(std::string_view name) {
    text_ += ' ';
    text_ += name;
    text_ += '=';
  }
  std::string text_;
};

std::string fingerprint_of(const RuleOptions& rule) {
  const bool is_threshold = rule.type == RuleType::threshold;
  FingerprintText text(is_threshold ? "threshold" : "ewma");
  if (is_threshold) {
    text.add("raise", rule.raise);
    if (rule.clear) text.add("clear", *rule.clear);
  } else {
    text.add("sensitivity", rule.sensitivity);
    text.add("warmup", std::int64_t{rule.warmup});
    text.add("alpha", rule.alpha);
  }
  text.add("raise_after", std::int64_t{rule.raise_after.count()});
  text.add("clear_after", std::int64_t{rule.clear_after.count()});
  text.add("latch", std::int64_t{rule.latch ? 1 : 0});
  return text.take();
}

}  // namespace

CompiledRule::CompiledRule(RuleOptions from)
    : options(std::move(from)),
      delays{options.raise_after, options.clear_after, options.latch},
      parameters{options.alpha, options.sensitivity, options.warmup},
      fingerprint(fingerprint_of(options)) {}

bool CompiledRule::covers(const std::string& tag) const {
  return std::any_of(options.tags.begin(), options.tags.end(),
                     [&](const std::string& glob) { return glob_matches(glob, tag); });
}

Verdict CompiledRule::by_level(double value) const {
  const bool raise = holds(options.raise, value);
  return {raise, options.clear ? holds(*options.clear, value) : !raise};
}

Verdict CompiledRule::by_baseline(double value, Ewma& baseline) const {
  const Ewma::Judgement judgement = baseline.take(value, parameters);
  return {judgement == Ewma::Judgement::anomalous, judgement == Ewma::Judgement::calm};
}

}  // namespace tidegate::rules
