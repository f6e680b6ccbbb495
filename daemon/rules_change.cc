#include "daemon/rules_change.h"

#include <algorithm>
#include <memory>
#include <utility>

#include "core/log.h"
#include "core/text.h"
#include "rules/rule_engine.h"

namespace tidegate::daemon {

void change_rules(const std::vector<rules::RuleOptions>& rules, Pipeline& pipeline, TagRegistry& tags,
                  const Clock& clock, Position end) {
  const rules::RuleEngine& before = pipeline.rules();
  auto engine = std::make_unique<rules::RuleEngine>(rules, tags);
  if (const auto restored = engine->restore(before.save()); !restored) {
    log_warning("rules", "{}", restored.error().message);
  }
  std::vector<rules::AlarmTransition> cleared;
  for (const auto& alarm : before.active()) {
    const bool kept = std::any_of(rules.begin(), rules.end(), [&](const auto& rule) {
      return rule.name == alarm.raised.rule && std::any_of(rule.tags.begin(), rule.tags.end(), [&](const auto& glob) {
               return glob_matches(glob, alarm.raised.tag);
             });
    });
    if (kept) {
      engine->observe_logged(alarm.raised);
      continue;
    }
    rules::AlarmTransition gone = alarm.raised;
    gone.state = rules::AlarmState::cleared;
    gone.message = "rule " + gone.rule + " was taken out of the configuration";
    gone.time = clock.wall_now();
    cleared.push_back(std::move(gone));
  }
  for (rules::AlarmTransition& gone : before.shelved()) {
    const auto kept = engine->shelved();
    const auto is_same = [&gone](const auto& one) { return one.alarm == gone.alarm; };
    if (std::any_of(kept.begin(), kept.end(), is_same)) continue;
    gone.state = rules::AlarmState::unshelved;
    gone.is_raised = false;
    gone.by.clear();
    gone.note = "rule " + gone.rule + " was taken out of the configuration";
    gone.time = clock.wall_now();
    cleared.push_back(std::move(gone));
  }
  pipeline.set_rules(std::move(engine), end);
  pipeline.record_alarms(cleared);
}

}  // namespace tidegate::daemon
