#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "core/tag.h"
#include "rules/alarm_machine.h"
#include "rules/compiled_rule.h"
#include "rules/ewma.h"
#include "rules/pending_set.h"

namespace tidegate::rules {

/// One rule on one tag.
struct Alarm {
  std::uint32_t rule = 0;
  TagId tag = kNoTag;
  std::uint32_t pending_slot = PendingSet::kNoSlot;
  bool is_logged = false;  // the alarm stream holds a transition that this engine has not come past yet
  AlarmMachine machine;
  Ewma baseline;
};

/// Where the alarms of a tag lie: next to each other.
struct AlarmRange {
  std::uint32_t first = 0;
  std::uint32_t count = 0;
  bool is_resolved = false;
};

/// The rules, and the alarms of all tags seen: globs are matched once a tag, when it is first asked for, and from then
/// on its alarms are found by one look into a vector. Alarms are never removed; their indices stay, references do not.
class AlarmTable {
 public:
  AlarmTable(std::vector<RuleOptions> rules, TagRegistry& tags);

  AlarmRange of(TagId tag) {
    const auto index = static_cast<std::size_t>(tag);
    return index < ranges_.size() && ranges_[index].is_resolved ? ranges_[index] : resolve(tag);
  }
  /// Makes the tag known when the rule covers it, and only then: the names come from stored text.
  std::optional<std::uint32_t> find(const std::string& rule, const std::string& tag);
  void forget_all();

  Alarm& operator[](std::uint32_t index) { return alarms_[index]; }
  const Alarm& operator[](std::uint32_t index) const { return alarms_[index]; }
  std::uint32_t size() const { return static_cast<std::uint32_t>(alarms_.size()); }
  const CompiledRule& rule_of(const Alarm& alarm) const { return rules_[alarm.rule]; }
  const Tag& tag_of(const Alarm& alarm) const { return tags_.tag(alarm.tag); }
  const std::vector<CompiledRule>& rules() const { return rules_; }

 private:
  AlarmRange resolve(TagId tag);

  std::vector<CompiledRule> rules_;
  TagRegistry& tags_;
  std::vector<AlarmRange> ranges_;  // by TagId
  std::vector<Alarm> alarms_;
};

}  // namespace tidegate::rules
