#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "core/error.h"
#include "core/time.h"

namespace tidegate::rules {

enum class Severity : std::uint8_t { info, warning, critical };
enum class RuleType : std::uint8_t { threshold, anomaly };
enum class Comparison : std::uint8_t { greater, greater_equal, less, less_equal, equal, not_equal };

/// "> 90"
struct Condition {
  Comparison comparison = Comparison::greater;
  double level = 0;
  bool operator==(const Condition&) const = default;
};

/// One `[[rule]]`.
struct RuleOptions {
  std::string name;
  RuleType type = RuleType::threshold;
  std::vector<std::string> tags;   // globs; one alarm a matching tag
  Condition raise;                 // threshold
  std::optional<Condition> clear;  // default: raise does not hold
  Duration raise_after{};
  Duration clear_after{};
  Severity severity = Severity::warning;
  bool latch = false;
  std::string message = "{rule}: {tag} is {value} {unit}";  // {rule} {tag} {value} {unit} {severity}
  // anomaly, method ewma
  double sensitivity = 4.0;    // raise beyond this many standard deviations
  std::uint32_t warmup = 200;  // readings before anything is raised
  double alpha = 0.05;         // weight of the newest reading in mean and variance
  bool operator==(const RuleOptions&) const = default;
};

/// "> 90", ">= 1.5", "== 0"
Result<Condition> parse_condition(const std::string& text);
/// Whether the value meets the condition.
bool holds(const Condition& condition, double value);
const char* to_string(Severity severity);

}  // namespace tidegate::rules
