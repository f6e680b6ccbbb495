#include "daemon/latest_table.h"

#include <algorithm>
#include <utility>

namespace tidegate::daemon {

void LatestTable::take(const RecordBatch& batch) {
  for (std::size_t i = 0; i < batch.readings.size(); ++i) {
    const std::size_t index = entry_of(batch.readings[i].tag);
    Entry& entry = entries_[index];
    entry.at = {batch.epoch, batch.first + i};
    entry.clock = batch.times.quality;
    entry.reading = batch.readings[i];
    note(index);
  }
}

std::size_t LatestTable::entry_of(TagId tag) {
  const auto at = static_cast<std::size_t>(tag);
  if (at >= by_tag_.size()) by_tag_.resize(std::max(at + 1, tags_.size()));
  if (by_tag_[at] == 0) {
    entries_.emplace_back();
    by_tag_[at] = static_cast<std::uint32_t>(entries_.size());
  }
  return by_tag_[at] - 1;
}

void LatestTable::note(std::size_t index) {
  entries_[index].changed_in = rounds_ + 1;
  changed_.insert(index);
}

// Of what operators do, those who watch see that the alarm is acknowledged.
void LatestTable::take_alarm(const rules::AlarmTransition& transition) {
  const bool is_acknowledged = transition.state == rules::AlarmState::acknowledged;
  const bool is_raised = is_acknowledged || transition.state == rules::AlarmState::raised;
  if (!is_raised && transition.state != rules::AlarmState::cleared) return;
  const auto [known, is_new] = by_alarm_.try_emplace(transition.alarm, entries_.size());
  if (is_new) entries_.emplace_back().alarm = std::make_unique<Alarm>();
  Alarm& alarm = *entries_[known->second].alarm;
  alarm = {transition.alarm, rules::to_document(transition), is_raised, false};
  note(known->second);
}

// Not what another transition has replaced meanwhile.
void LatestTable::place_alarm(const std::string& document, Position at) {
  const auto transition = rules::parse_alarm_document(document);
  if (!transition) return;
  const auto known = by_alarm_.find(transition->alarm);
  if (known == by_alarm_.end()) return;
  Entry& entry = entries_[known->second];
  if (entry.alarm->document != document) return;
  entry.alarm->is_placed = true;
  entry.at = at;
  note(known->second);
}

void LatestTable::report() {
  if (changed_.empty()) return;
  ++rounds_;
  std::erase_if(actions_, [this](const Changed& action) { return !action(changed_); });
  changed_.clear();
}

drivers::LatestTopic LatestTable::look(std::size_t index) const {
  const Entry& entry = entries_[index];
  return {entry.alarm == nullptr || entry.alarm->is_raised, entry.changed_in};
}

void LatestTable::append_topic(std::size_t index, std::string& out) const {
  const Entry& entry = entries_[index];
  out += entry.alarm ? "tidegate/alarms/" : "tidegate/values/";
  out += entry.alarm ? entry.alarm->id : tags_.tag(entry.reading.tag).path;
}

void LatestTable::append_document(std::size_t index, std::string& out) {
  const Entry& entry = entries_[index];
  if (entry.alarm && !entry.alarm->is_placed) {
    out += entry.alarm->document;
    return;
  }
  shown_.stream = entry.alarm ? Stream::alarms : Stream::readings;
  shown_.epoch = entry.at.epoch;
  shown_.first = entry.at.sequence;
  shown_.times.quality = entry.clock;
  if (entry.alarm) {
    shown_.documents.assign(1, entry.alarm->document);
  } else {
    shown_.readings.assign(1, entry.reading);
  }
  json_.append(out, shown_, 0);
}

}  // namespace tidegate::daemon
