#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

#include "core/record.h"
#include "core/tag.h"
#include "daemon/record_json.h"
#include "drivers/latest_values.h"
#include "rules/alarm.h"

namespace tidegate::daemon {

/// The latest record of each tag and each alarm, kept while a listener has somebody who may watch. Bounded by what is
/// bounded elsewhere: tags (TagRegistry::kTagsMax) and the alarms that rules keep state for. Begins empty in each
/// process, but for the alarms that are raised. Core thread; the registry outlives it.
class LatestTable final : public drivers::LatestValues {
 public:
  explicit LatestTable(const TagRegistry& tags) : json_(tags), tags_(tags) {}

  /// Readings that the log has.
  void take(const RecordBatch& batch);
  /// An alarm rises or clears. Its record may have to wait for the log: until then the document has no epoch and
  /// sequence.
  void take_alarm(const rules::AlarmTransition& transition);
  /// The log has the alarm's document there.
  void place_alarm(const std::string& document, Position at);
  /// Ends a round: tells what has changed in it.
  void report();

  std::size_t size() const override { return entries_.size(); }
  std::uint64_t rounds() const override { return rounds_; }
  drivers::LatestTopic look(std::size_t index) const override;
  void append_topic(std::size_t index, std::string& out) const override;
  void append_document(std::size_t index, std::string& out) override;
  void on_changed(Changed action) override { actions_.push_back(std::move(action)); }

 private:
  struct Alarm {
    std::string id;
    std::string document;
    bool is_raised = false;
    bool is_placed = false;
  };
  struct Entry {
    std::uint64_t changed_in = 0;
    Position at;
    ClockQuality clock = ClockQuality::unsynced;
    Reading reading;
    std::unique_ptr<Alarm> alarm;  // null: it is a reading
  };

  std::size_t entry_of(TagId tag);
  void note(std::size_t index);

  RecordJson json_;
  const TagRegistry& tags_;
  std::vector<Entry> entries_;
  std::vector<std::uint32_t> by_tag_;  // 1 + index; 0: none yet
  std::unordered_map<std::string, std::size_t> by_alarm_;
  IndexSet changed_;  // in this round
  std::uint64_t rounds_ = 0;
  std::vector<Changed> actions_;
  RecordBatch shown_;  // of the one record that is encoded
};

}  // namespace tidegate::daemon
