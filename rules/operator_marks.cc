#include "rules/operator_marks.h"

#include <algorithm>

namespace tidegate::rules {

void OperatorMarks::take(const AlarmTransition& said) {
  if (said.state == AlarmState::acknowledged) acknowledged_[said.alarm] = said;
  if (said.state == AlarmState::shelved) shelved_[said.alarm] = said;
  if (said.state == AlarmState::unshelved) shelved_.erase(said.alarm);
}

void OperatorMarks::clear() {
  acknowledged_.clear();
  shelved_.clear();
}

void OperatorMarks::forget_acknowledgement(const std::string& alarm, Position occurrence) {
  const auto found = acknowledged_.find(alarm);
  if (found != acknowledged_.end() && found->second.occurrence == occurrence) acknowledged_.erase(found);
}

const AlarmTransition* OperatorMarks::acknowledgement(const std::string& alarm, Position occurrence) const {
  const auto found = acknowledged_.find(alarm);
  return found != acknowledged_.end() && found->second.occurrence == occurrence ? &found->second : nullptr;
}

void OperatorMarks::move_ends(const std::vector<std::string>& alarms, Duration by) {
  for (const std::string& alarm : alarms) {
    if (const auto found = shelved_.find(alarm); found != shelved_.end()) found->second.until += by;
  }
}

const AlarmTransition* OperatorMarks::shelving(const std::string& alarm) const {
  const auto found = shelved_.find(alarm);
  return found == shelved_.end() ? nullptr : &found->second;
}

std::optional<WallTime> OperatorMarks::next_end() const {
  std::optional<WallTime> next;
  for (const auto& [alarm, said] : shelved_) next = std::min(next.value_or(said.until), said.until);
  return next;
}

std::vector<AlarmTransition> OperatorMarks::all() const {
  std::vector<AlarmTransition> all;
  for (const auto* marks : {&acknowledged_, &shelved_}) {
    for (const auto& [alarm, said] : *marks) all.push_back(said);
  }
  return all;
}

}  // namespace tidegate::rules
