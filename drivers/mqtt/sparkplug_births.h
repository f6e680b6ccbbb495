#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>

#include "core/reading.h"
#include "core/time.h"
#include "drivers/mqtt/refusal.h"
#include "mqtt/sparkplug_payload.h"

namespace tidegate::drivers {

/// What is known of a metric by its birth, or by its name in a data message.
struct BornMetric {
  std::string name;
  mqtt::SparkplugType type = mqtt::SparkplugType::unknown;
  TagId tag = kNoTag;               // claimed with the first value
  Refusal problem = Refusal::none;  // why there is no tag
  bool has_tag_or_problem = false;
  bool has_alias = false;
  bool is_of_protocol = false;  // bdSeq and the like: no reading
  bool was_taken = false;       // a death ends it
  Value last;
};

/// The metrics of a node's own or of one of its devices.
class SparkplugBirth {
 public:
  bool is_whole = false;    // born, and nothing is missing since: aliases mean what the birth says
  bool is_cut_off = false;  // not all of it is remembered, or an alias stands there twice: asking again helps nobody

  BornMetric* by_name(std::string_view name);
  /// Null: there is none, or it is of two metrics.
  BornMetric* by_alias(std::uint64_t alias);
  /// The one of that name, made if there is none.
  BornMetric& define(std::string_view name);
  /// False: another metric has it, and from now on none.
  bool give_alias(std::uint64_t alias, BornMetric& metric);
  void clear();

  std::size_t size() const { return metrics_.size(); }
  std::size_t name_bytes() const { return name_bytes_; }
  template <class Function>
  void for_each(Function function) const {
    for (const auto& [name, metric] : metrics_) function(metric);
  }

 private:
  struct TextHash {
    using is_transparent = void;
    std::size_t operator()(std::string_view text) const { return std::hash<std::string_view>{}(text); }
  };

  std::unordered_map<std::string, BornMetric, TextHash, std::equal_to<>> metrics_;
  std::unordered_map<std::uint64_t, BornMetric*> aliases_;
  std::size_t name_bytes_ = 0;
};

/// An edge node.
struct SparkplugNode {
  std::string group;
  std::string name;
  SparkplugBirth own;
  std::map<std::string, SparkplugBirth, std::less<>> devices;
  std::optional<std::uint64_t> bd_seq;    // of its last birth
  std::optional<std::uint64_t> next_seq;  // nothing: no birth yet, or messages are missing since
  std::optional<BootTime> asked;          // for a rebirth
  Duration ask_pause{};                   // before it is asked again
  BootTime seen{};

  bool is_empty() const { return !next_seq && own.size() == 0 && devices.empty(); }
};

}  // namespace tidegate::drivers
