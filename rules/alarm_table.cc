#include "rules/alarm_table.h"

#include <algorithm>
#include <utility>

namespace tidegate::rules {

AlarmTable::AlarmTable(std::vector<RuleOptions> rules, TagRegistry& tags) : tags_(tags) {
  rules_.reserve(rules.size());
  for (RuleOptions& options : rules) rules_.emplace_back(std::move(options));
}

AlarmRange AlarmTable::resolve(TagId tag) {
  const std::size_t known = tags_.size();
  const auto index = static_cast<std::size_t>(tag);
  if (index >= known) return {};
  if (ranges_.size() < known) ranges_.resize(known);
  AlarmRange range{size(), 0, true};
  for (std::size_t rule = 0; rule < rules_.size(); ++rule) {
    if (!rules_[rule].covers(tags_.tag(tag).path)) continue;
    Alarm& alarm = alarms_.emplace_back();
    alarm.rule = static_cast<std::uint32_t>(rule);
    alarm.tag = tag;
    ++range.count;
  }
  ranges_[index] = range;
  return range;
}

std::optional<std::uint32_t> AlarmTable::find(const std::string& rule, const std::string& tag) {
  const auto covering = std::find_if(rules_.begin(), rules_.end(), [&](const CompiledRule& candidate) {
    return candidate.options.name == rule && candidate.covers(tag);
  });
  if (covering == rules_.end()) return std::nullopt;
  const AlarmRange range = of(tags_.intern(tag));
  for (std::uint32_t index = range.first; index < range.first + range.count; ++index) {
    if (&rules_[alarms_[index].rule] == &*covering) return index;
  }
  return std::nullopt;
}

void AlarmTable::forget_all() {
  ranges_.clear();
  alarms_.clear();
}

}  // namespace tidegate::rules
