#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "core/spare_room.h"
#include "core/value.h"
#include "mqtt/sparkplug_payload.h"
#include "uplink/sparkplug/batch_parts.h"

namespace tidegate::uplink {

/// The aliases of a node; each is given once, and never to another metric.
class SparkplugAliases {
 public:
  /// They begin behind `before`.
  explicit SparkplugAliases(std::uint64_t before = 0) : last_(before) {}
  std::uint64_t next() { return ++last_; }

 private:
  std::uint64_t last_;
};

/// The metrics of one device, or of the node itself: their aliases, data types and last values, and what is to be sent
/// of them next, in one message behind one birth at most. A tag's metric keeps its data type as long as that says each
/// value with every digit. With the first value that needs another one it is born again in that; what needs a type that
/// it had before goes to a metric NAME:TYPE beside it. So no tag can bring births without end. Passive; one thread.
class SparkplugMetrics {
 public:
  /// `is_writable` says of a metric's name whether its births say that it can be written.
  explicit SparkplugMetrics(SparkplugAliases& aliases, std::function<bool(const std::string&)> is_writable = {})
      : aliases_(&aliases), is_writable_(std::move(is_writable)) {}

  /// Puts it behind what is to be sent. With a metric or a data type that is new, births are needed first.
  void add(const SparkplugEntry& entry);
  /// Forgets what was added and not taken.
  void drop_pending();

  bool has_pending() const { return !pending_.empty(); }
  bool needs_birth() const { return needs_birth_; }
  bool empty() const { return slots_.empty(); }

  /// A metric as others know it by its births.
  struct Known {
    std::string name;  // of the tag or document, without a data type behind it
    mqtt::SparkplugType type = mqtt::SparkplugType::unknown;
  };
  std::optional<Known> find(const std::string& name) const;
  std::optional<Known> find(std::uint64_t alias) const;

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
  static mqtt::SparkplugType type_in_births(const Slot& slot);

  SparkplugAliases* aliases_;
  std::function<bool(const std::string&)> is_writable_;
  std::unordered_map<std::uint64_t, const Key*> by_alias_;
  std::map<Key, Slot> slots_;  // births are in this order
  std::vector<Pending> pending_;
  SpareRoom spare_;  // of that
  bool needs_birth_ = false;
};

}  // namespace tidegate::uplink
