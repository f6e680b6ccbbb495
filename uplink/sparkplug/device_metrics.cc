#include "uplink/sparkplug/device_metrics.h"

#include <algorithm>
#include <limits>
#include <optional>
#include <utility>

namespace tidegate::uplink {
namespace {

using mqtt::SparkplugMetric;
using mqtt::SparkplugType;
using mqtt::SparkplugValue;

constexpr std::uint64_t kExactMost = std::uint64_t{1} << 53U;  // up to here a double is every integer
constexpr std::size_t kLastTextMost = 512;                     // longer texts are not kept for births
constexpr std::uint32_t kStale = 500;                          // as a value of `Quality`

struct Magnitude {
  std::uint64_t number = 0;
  bool is_negative = false;
};

std::optional<Magnitude> magnitude_of(const Value& value) {
  if (const auto* natural = std::get_if<std::uint64_t>(&value)) return Magnitude{*natural, false};
  const auto* integer = std::get_if<std::int64_t>(&value);
  if (integer == nullptr) return std::nullopt;
  const auto bits = static_cast<std::uint64_t>(*integer);
  return Magnitude{*integer < 0 ? 0 - bits : bits, *integer < 0};
}

bool says_integer(SparkplugType type, Magnitude value) {
  switch (type) {
    case SparkplugType::int64:
      return value.is_negative || value.number <= std::uint64_t{std::numeric_limits<std::int64_t>::max()};
    case SparkplugType::uint64:
      return !value.is_negative;
    case SparkplugType::float64:
      return value.number <= kExactMost;
    default:
      return false;
  }
}

SparkplugType natural_type(const Value& value) {
  if (std::holds_alternative<bool>(value)) return SparkplugType::boolean;
  if (std::holds_alternative<std::int64_t>(value)) return SparkplugType::int64;
  if (std::holds_alternative<std::uint64_t>(value)) return SparkplugType::uint64;
  if (std::holds_alternative<double>(value)) return SparkplugType::float64;
  if (std::holds_alternative<std::string>(value)) return SparkplugType::string;
  return SparkplugType::unknown;
}

bool says(SparkplugType type, const Value& value) {
  if (std::holds_alternative<std::monostate>(value)) return true;
  if (const auto integer = magnitude_of(value)) return says_integer(type, *integer);
  return type == natural_type(value);
}

SparkplugValue wire_value(SparkplugType type, const Value& value) {
  if (const auto integer = magnitude_of(value)) {
    if (type == SparkplugType::float64) {
      const auto real = static_cast<double>(integer->number);
      return integer->is_negative ? -real : real;
    }
    return integer->is_negative ? 0 - integer->number : integer->number;
  }
  if (const auto* flag = std::get_if<bool>(&value)) return *flag;
  if (const auto* real = std::get_if<double>(&value)) return *real;
  if (const auto* text = std::get_if<std::string>(&value)) return *text;
  return {};
}

SparkplugMetric data_metric(const SparkplugEntry& entry, std::uint64_t alias, SparkplugType type) {
  SparkplugMetric metric;
  metric.alias = alias;
  metric.timestamp = entry.timestamp;
  metric.is_historical = entry.is_historical;
  metric.is_null = std::holds_alternative<std::monostate>(entry.value);
  if (!entry.properties.empty()) metric.properties = mqtt::encode_sparkplug_properties(entry.properties);
  metric.value = wire_value(type, entry.value);
  return metric;
}

void remember(SparkplugMetric& last, SparkplugMetric metric) {
  if (const auto* text = std::get_if<std::string>(&metric.value); text != nullptr && text->size() > kLastTextMost) {
    metric.value = {};
    metric.is_null = true;
    metric.properties = mqtt::encode_sparkplug_properties({{"Quality", SparkplugType::int32, kStale}});
  }
  metric.is_historical = false;  // a birth gives what is known to be the latest
  last = std::move(metric);
}

}  // namespace

SparkplugMetrics::Slot& SparkplugMetrics::slot_at(const Key& key, SparkplugType type) {
  const auto [at, is_new] = slots_.try_emplace(key);
  if (is_new) {
    at->second.alias = aliases_->next();
    at->second.type = type;
    by_alias_[at->second.alias] = &at->first;
    needs_birth_ = true;
  }
  return at->second;
}

SparkplugMetrics::Slot& SparkplugMetrics::slot_for(const SparkplugEntry& entry) {
  const SparkplugType type = natural_type(entry.value);
  Slot& own = slot_at({entry.name, SparkplugType::unknown}, type);
  if (says(own.type, entry.value)) return own;
  if (const auto beside = slots_.find({entry.name, type}); beside != slots_.end()) return beside->second;
  if (!can_become(own, type)) return slot_at({entry.name, type}, type);
  become(own, type);
  return own;
}

bool SparkplugMetrics::can_become(const Slot& slot, SparkplugType type) const {
  if (std::find(slot.left.begin(), slot.left.end(), type) != slot.left.end()) return false;
  return std::all_of(pending_.begin(), pending_.end(),
                     [&](const Pending& pending) { return pending.slot != &slot || says(type, pending.value); });
}

void SparkplugMetrics::become(Slot& slot, SparkplugType type) {
  slot.left.push_back(slot.type);
  slot.type = type;
  slot.last = {};
  needs_birth_ = true;
  for (Pending& pending : pending_) {
    if (pending.slot == &slot) pending.metric.value = wire_value(type, pending.value);
  }
}

void SparkplugMetrics::add(const SparkplugEntry& entry) {
  Slot& slot = slot_for(entry);
  SparkplugMetric metric = data_metric(entry, slot.alias, slot.type);
  if (!slot.last.alias) remember(slot.last, metric);  // a birth has to say something
  pending_.push_back({&slot, entry.value, std::move(metric)});
}

void SparkplugMetrics::drop_pending() { pending_.clear(); }

// A tag may have that very name.
std::string SparkplugMetrics::name_beside(const std::string& name, SparkplugType type) const {
  std::string beside = name + ':' + mqtt::name_of_sparkplug_type(type);
  while (slots_.count({beside, SparkplugType::unknown}) != 0) beside += ':';
  return beside;
}

// A metric of which nothing but nulls were seen needs one; it gets its own with its first value.
SparkplugType SparkplugMetrics::type_in_births(const Slot& slot) {
  return slot.type == SparkplugType::unknown ? SparkplugType::float64 : slot.type;
}

std::optional<SparkplugMetrics::Known> SparkplugMetrics::find(const std::string& name) const {
  const auto found = slots_.find({name, SparkplugType::unknown});
  if (found == slots_.end()) return std::nullopt;
  return Known{name, type_in_births(found->second)};
}

std::optional<SparkplugMetrics::Known> SparkplugMetrics::find(std::uint64_t alias) const {
  const auto found = by_alias_.find(alias);
  if (found == by_alias_.end()) return std::nullopt;
  return Known{found->second->first, type_in_births(slots_.at(*found->second))};
}

std::vector<SparkplugMetric> SparkplugMetrics::take_birth() {
  // A property set is a list on the wire: another one behind it goes on with it.
  const std::string writable = mqtt::encode_sparkplug_properties({{"writable", SparkplugType::boolean, true}});
  std::vector<SparkplugMetric> births;
  births.reserve(slots_.size());
  for (const auto& [key, slot] : slots_) {
    const auto& [name, beside] = key;
    SparkplugMetric& metric = births.emplace_back(slot.last);
    metric.name = beside == SparkplugType::unknown ? name : name_beside(name, beside);
    metric.type = type_in_births(slot);
    if (is_writable_ && is_writable_(name)) metric.properties += writable;
  }
  needs_birth_ = false;
  return births;
}

std::vector<SparkplugMetric> SparkplugMetrics::take_data() {
  std::vector<SparkplugMetric> data;
  data.reserve(pending_.size());
  for (Pending& pending : pending_) {
    data.push_back(pending.metric);
    // What comes late of a backlog is not the latest.
    const bool is_late = pending.metric.is_historical && pending.metric.timestamp < pending.slot->last.timestamp;
    if (!is_late) remember(pending.slot->last, std::move(pending.metric));
  }
  const bool has_spare = spare_.is_too_much(pending_.size() * sizeof(Pending), pending_.capacity() * sizeof(Pending));
  pending_.clear();
  if (has_spare) free_room(pending_);
  return data;
}

}  // namespace tidegate::uplink
