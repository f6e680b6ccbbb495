#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "core/value.h"
#include "mqtt/sparkplug_payload.h"
#include "uplink/sparkplug/batch_parts.h"

namespace tidegate::uplink {

/// The aliases of a node; each is given once, and never to another metric.
class SparkplugAliases {
 public:
  std::uint64_t next() { return ++last_; }

 private:
  std::uint64_t last_ = 0;
};

/// The metrics of one device, or of the node itself: their aliases, data types and last values, and what is to be sent
/// of them next, in one message behind one birth at most. A tag's metric keeps its data type as long as that says each
/// value with every digit. With the first value that needs another one it is born again in that; what needs a type that
/// it had before goes to a metric NAME:TYPE beside it. So no tag can bring births without end. Passive; one thread.
class SparkplugMetrics {
 public:
  explicit SparkplugMetrics(SparkplugAliases& aliases) : aliases_(&aliases) {}

  /// Puts it behind what is to be sent. With a metric or a data type that is new, births are needed first.
  void add(const SparkplugEntry& entry);
  /// Forgets what was added and not taken.
  void drop_pending();

  bool has_pending() const { return !pending_.empty(); }
  bool needs_birth() const { return needs_birth_; }
  bool empty() const { return slots_.empty(); }

  /// All metrics with name, alias, data type and last value.
  std::vector<mqtt::SparkplugMetric> take_birth();
  /// What was added, by alias, in that order.
  std::vector<mqtt::SparkplugMetric> take_data();

 private:
  struct Slot {
    std::uint64_t alias = 0;
    mqtt::SparkplugType type = mqtt::SparkplugType::unknown;
    std::vector<mqtt::SparkplugType> left{};  // types that it had before
    mqtt::SparkplugMetric last{};
  };
  struct Pending {
    Slot* slot;
    Value value;
    mqtt::SparkplugMetric metric;
  };
  // A tag or document, and for a metric beside its own the data type.
  using Key = std::pair<std::string, mqtt::SparkplugType>;

  Slot& slot_for(const SparkplugEntry& entry);
  bool can_become(const Slot& slot, mqtt::SparkplugType type) const;
  void become(Slot& slot, mqtt::SparkplugType type);
  std::string name_beside(const std::string& name, mqtt::SparkplugType type) const;
  Slot& slot_at(const Key& key, mqtt::SparkplugType type);

  SparkplugAliases* aliases_;
  std::map<Key, Slot> slots_;  // births are in this order
  std::vector<Pending> pending_;
  bool needs_birth_ = false;
};

}  // namespace tidegate::uplink
