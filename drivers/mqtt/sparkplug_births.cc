#include "drivers/mqtt/sparkplug_births.h"

namespace tidegate::drivers {

BornMetric* SparkplugBirth::by_name(std::string_view name) {
  const auto found = metrics_.find(name);
  return found == metrics_.end() ? nullptr : &found->second;
}

BornMetric* SparkplugBirth::by_alias(std::uint64_t alias) {
  const auto found = aliases_.find(alias);
  return found == aliases_.end() ? nullptr : found->second;
}

BornMetric& SparkplugBirth::define(std::string_view name) {
  if (BornMetric* known = by_name(name)) return *known;
  BornMetric metric;
  metric.name = name;
  name_bytes_ += name.size();
  return metrics_.emplace(name, std::move(metric)).first->second;
}

bool SparkplugBirth::give_alias(std::uint64_t alias, BornMetric& metric) {
  const auto [at, is_new] = aliases_.emplace(alias, &metric);
  if (is_new || at->second == &metric) return true;
  at->second = nullptr;
  return false;
}

void SparkplugBirth::clear() {
  metrics_.clear();
  aliases_.clear();
  name_bytes_ = 0;
  is_whole = is_cut_off = false;
}

}  // namespace tidegate::drivers
