#include <algorithm>
#include <array>
#include <limits>

#include "core/text.h"
#include "daemon/config/keys.h"
#include "daemon/config/rows.h"
#include "daemon/config/scope.h"

namespace tidegate::daemon {
namespace {

using namespace std::chrono_literals;
using rules::Condition;
using rules::RuleOptions;
using rules::RuleType;
using rules::Severity;

// Whether some value satisfies both. Between and beyond the two levels nothing changes, so these points stand for all.
bool can_both_hold(const Condition& a, const Condition& b) {
  constexpr double kInfinity = std::numeric_limits<double>::infinity();
  const std::array<double, 5> points{-kInfinity, a.level, a.level / 2 + b.level / 2, b.level, kInfinity};
  return std::any_of(points.begin(), points.end(), [&](double value) { return holds(a, value) && holds(b, value); });
}

void check_levels(const RuleOptions& rule, const Scope& scope) {
  if (rule.type != RuleType::threshold) return;
  if (!scope.has("raise")) {
    return scope.wrong("raise", "is missing; a rule of type \"threshold\" needs it, such as \"> 90\"");
  }
  if (!rule.clear || !scope.is_sound("raise") || !scope.is_sound("clear")) return;
  if (can_both_hold(rule.raise, *rule.clear)) {
    scope.wrong("clear", "must not hold while raise does, found clear " + scope.found("clear") + " and raise " +
                             scope.found("raise"));
  }
}

void check_keys_of_type(const RuleOptions& rule, const Scope& scope) {
  const auto refuse = [&](std::initializer_list<const char*> keys, const char* type) {
    for (const char* key : keys) {
      if (scope.has(key)) {
        scope.wrong(key, std::string("is for rules of type \"") + type + "\", found type " + scope.found("type"));
      }
    }
  };
  if (rule.type == RuleType::threshold) refuse({"method", "sensitivity", "warmup", "alpha"}, "anomaly");
  if (rule.type == RuleType::anomaly) refuse({"raise", "clear"}, "threshold");
}

void warn_of_idle_globs(const RuleOptions& rule, const Scope& scope) {
  const LoadState& state = scope.state();
  if (state.has_open_tags) return;
  for (const std::string& glob : rule.tags) {
    const bool matches = std::any_of(state.tags.begin(), state.tags.end(),
                                     [&](const std::string& tag) { return glob_matches(glob, tag); });
    if (!matches) scope.odd("tags", "\"" + clip(glob) + "\" matches no tag of any driver");
  }
}

void finish_rule(RuleOptions& rule, const Scope& scope) {
  scope.claim_name("rule");
  check_keys_of_type(rule, scope);
  check_levels(rule, scope);
  warn_of_idle_globs(rule, scope);
}

Result<void> store_raise(const std::string& text, RuleOptions& rule) {
  const auto condition = rules::parse_condition(text);
  if (!condition) return tl::unexpected(condition.error());
  rule.raise = *condition;
  return {};
}

Result<void> store_clear(const std::string& text, RuleOptions& rule) {
  const auto condition = rules::parse_condition(text);
  if (!condition) return tl::unexpected(condition.error());
  rule.clear = *condition;
  return {};
}

Result<void> check_message(const std::string& text) {
  return check_placeholders(text, {"rule", "tag", "value", "unit", "severity"});
}

Key type_row() {
  return rows::choice<RuleOptions, RuleType>("type", &RuleOptions::type,
                                             {{"threshold", RuleType::threshold}, {"anomaly", RuleType::anomaly}})
      .not_yet("rate", "use \"threshold\" or \"anomaly\"")
      .not_yet("stale", "use \"threshold\" or \"anomaly\"")
      .not_yet("flatline", "use \"threshold\" or \"anomaly\"")
      .not_yet("expression", "use \"threshold\" or \"anomaly\"")
      .required()
      .example("\"threshold\"")
      .says("How the rule judges: by fixed levels, or by what is usual for the tag.");
}

std::vector<Key> common_rows() {
  using namespace rows;
  using Owner = RuleOptions;
  return {
      checked<Owner>("name", &Owner::name, check_name)
          .required()
          .must_be(kNameForm)
          .example("\"boiler-hot\"")
          .says("The first part of its alarms' ids, `NAME/TAG`."),
      type_row(),
      checked_texts<Owner>("tags", &Owner::tags, check_tag_glob)
          .required()
          .must_be("globs over tag paths")
          .example("[\"boiler/temp\"]")
          .says("Which tags it judges, one alarm each. `*` matches any run of characters, `/` too; `?` matches one."),
      duration<Owner>("raise_after", &Owner::raise_after, 0s, 30 * 24h)
          .by_default("0s")
          .says("How long the condition has to hold before the alarm is raised."),
      duration<Owner>("clear_after", &Owner::clear_after, 0s, 30 * 24h)
          .by_default("0s")
          .says("How long the alarm's end has to hold before it is cleared."),
      choice<Owner, Severity>(
          "severity", &Owner::severity,
          {{"info", Severity::info}, {"warning", Severity::warning}, {"critical", Severity::critical}})
          .by_default("warning")
          .says("How bad it is."),
      boolean<Owner>("latch", &Owner::latch)
          .by_default(false)
          .says("Whether an alarm stays until it is acknowledged, though its cause is over."),
      checked<Owner>("message", &Owner::message, check_message)
          .must_be("a text with {rule}, {tag}, {value}, {unit}, {severity}")
          .by_default("{rule}: {tag} is {value} {unit}")
          .says("What the alarm says."),
  };
}

std::vector<Key> threshold_rows() {
  using namespace rows;
  using Owner = RuleOptions;
  constexpr const char* kConditionForm = "one of > >= < <= == != and a number, such as \"> 90\"";
  return {
      parsed<Owner>("raise", store_raise)
          .must_be(kConditionForm)
          .example("\"> 90\"")
          .says("`threshold`: the alarm is raised while this holds."),
      parsed<Owner>("clear", store_clear)
          .must_be(kConditionForm)
          .by_default_is("`raise` does not hold")
          .example("\"< 85\"")
          .says("`threshold`: the alarm is cleared when this holds; the levels between are its hysteresis."),
  };
}

std::vector<Key> anomaly_rows() {
  using namespace rows;
  using Owner = RuleOptions;
  return {
      only_word("method", "ewma")
          .not_yet("mad", "use \"ewma\"")
          .not_yet("seasonal", "use \"ewma\"")
          .says("`anomaly`: how the usual is learnt; `ewma` by exponentially weighted mean and variance."),
      number<Owner>("sensitivity", &Owner::sensitivity, 0.1, 1000)
          .by_default(4.0)
          .says("`anomaly`: how many standard deviations from the mean raise the alarm."),
      integer<Owner>("warmup", &Owner::warmup, 2, 1000000)
          .by_default(200)
          .says("`anomaly`: how many readings to learn from before anything is raised."),
      number<Owner>("alpha", &Owner::alpha, 0.001, 0.99)
          .by_default(0.05)
          .says("`anomaly`: the weight of the newest reading; smaller forgets more slowly."),
  };
}

}  // namespace

Section rule_keys() {
  using namespace rows;
  Section section = list<Config>("rule", &Config::rules, "What raises and clears an alarm.");
  section.selector = "type";
  section.keys = common_rows();
  for (auto&& part : {threshold_rows(), anomaly_rows()}) {
    section.keys.insert(section.keys.end(), part.begin(), part.end());
  }
  section.keys.push_back(later("action", "alarms go upstream with the uplinks; act on them there"));
  section.keys.push_back(later("inputs", "a rule judges each tag alone: use tags"));
  section.keys.push_back(later("derive", "work the value out upstream"));
  section.keys.push_back(later("window", "use raise_after to let a condition hold for a while"));
  section.finish = finish<RuleOptions>(finish_rule);
  return section;
}

}  // namespace tidegate::daemon
