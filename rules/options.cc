#include "rules/options.h"

#include <array>
#include <charconv>
#include <cmath>
#include <string_view>

#include "core/text.h"

namespace tidegate::rules {
namespace {

struct Sign {
  std::string_view text;
  Comparison comparison;
};

// Two characters before one, so that ">=" is not read as ">" and a wrong number.
constexpr std::array<Sign, 6> kSigns{{{">=", Comparison::greater_equal},
                                      {"<=", Comparison::less_equal},
                                      {"==", Comparison::equal},
                                      {"!=", Comparison::not_equal},
                                      {">", Comparison::greater},
                                      {"<", Comparison::less}}};

std::string_view without_blanks(std::string_view text) {
  while (!text.empty() && text.front() == ' ') text.remove_prefix(1);
  while (!text.empty() && text.back() == ' ') text.remove_suffix(1);
  return text;
}

tl::unexpected<Error> refuse(std::string_view text, const std::string& why) {
  return fail(ErrorCode::invalid, "condition \"" + clip(text) + "\": " + why +
                                      "; a condition is one of > >= < <= == != and a number, such as \"> 90\"");
}

}  // namespace

Result<Condition> parse_condition(const std::string& text) {
  const std::string_view whole = without_blanks(text);
  if (whole.empty()) return refuse(text, "is empty");
  for (const Sign& sign : kSigns) {
    if (!whole.starts_with(sign.text)) continue;
    const std::string_view digits = without_blanks(whole.substr(sign.text.size()));
    if (digits.empty()) return refuse(text, "has no number behind " + std::string(sign.text));
    double level = 0;
    const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), level);
    if (error == std::errc::result_out_of_range) return refuse(text, clip(digits) + " does not fit a double");
    if (error != std::errc{} || end != digits.data() + digits.size() || !std::isfinite(level)) {
      return refuse(text, clip(digits) + " is not a number");
    }
    return Condition{sign.comparison, level};
  }
  return refuse(text, "begins with no comparison");
}

bool holds(const Condition& condition, double value) {
  switch (condition.comparison) {
    case Comparison::greater:
      return value > condition.level;
    case Comparison::greater_equal:
      return value >= condition.level;
    case Comparison::less:
      return value < condition.level;
    case Comparison::less_equal:
      return value <= condition.level;
    case Comparison::equal:
      return value == condition.level;
    case Comparison::not_equal:
      return value != condition.level;
  }
  return false;
}

const char* to_string(Severity severity) {
  switch (severity) {
    case Severity::info:
      return "info";
    case Severity::warning:
      return "warning";
    case Severity::critical:
      return "critical";
  }
  return "";
}

}  // namespace tidegate::rules
