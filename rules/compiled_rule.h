#pragma once

#include <string>
#include <vector>

#include "rules/alarm_machine.h"
#include "rules/ewma.h"
#include "rules/options.h"

namespace tidegate::rules {

/// A rule's options, laid out for judging.
struct CompiledRule {
  explicit CompiledRule(RuleOptions from);

  bool covers(const std::string& tag) const;
  Verdict judge(double value, Ewma& baseline) const {
    return options.type == RuleType::threshold ? by_level(value) : by_baseline(value, baseline);
  }

  RuleOptions options;
  Delays delays;
  Ewma::Parameters parameters;
  /// The options that decide, as text. Name, tags, severity and message are not in it: rewording a message must not
  /// throw away a baseline.
  std::string fingerprint;

 private:
  Verdict by_level(double value) const;
  Verdict by_baseline(double value, Ewma& baseline) const;
};

}  // namespace tidegate::rules
