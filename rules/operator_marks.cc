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

const AlarmTransition* OperatorMarks::acknowledgement(const std::string& alarm, Position occurrence,
                                                      Position judged_to) const {
  const auto found = acknowledged_.find(alarm);
  if (found == acknowledged_.end()) return nullptr;
  const AlarmTransition& said = found->second;
  return said.occurrence == occurrence && said.cause <= judged_to ? &said : nullptr;
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
