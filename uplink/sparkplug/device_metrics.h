#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

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
/// of them next. A metric keeps its data type as long as that says each of its values with every digit, and gets
/// another one, with a new birth, when it does not. Passive; one thread.
class SparkplugMetrics {
 public:
  explicit SparkplugMetrics(SparkplugAliases& aliases) : aliases_(&aliases) {}

  /// Whether the entry needs another data type than its metric was born with.
  bool changes_type(const SparkplugEntry& entry) const;
  /// Puts it behind what is to be sent. With a metric or a data type that is new, what was put before and has another
  /// type has to be taken first, and births are needed.
  void add(const SparkplugEntry& entry);

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
    mqtt::SparkplugMetric last{};
  };
  struct Pending {
    Slot* slot;
    mqtt::SparkplugMetric metric;
  };

  SparkplugAliases* aliases_;
  std::map<std::string, Slot> slots_;  // by name; births are in this order
  std::vector<Pending> pending_;
  bool needs_birth_ = false;
};

}  // namespace tidegate::uplink
