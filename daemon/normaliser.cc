#include "daemon/normaliser.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "core/value_limits.h"

namespace tidegate::daemon {

void Normaliser::apply(std::vector<Reading>& readings) {
  std::size_t kept = 0;
  for (std::size_t i = 0; i < readings.size(); ++i) {
    if (!keep(readings[i])) continue;
    if (kept != i) readings[kept] = std::move(readings[i]);
    ++kept;
  }
  readings.resize(kept);
}

bool Normaliser::keep(Reading& reading) {
  if (reading.tag == kNoTag) {
    ++left_out_["no_tag"];
    return false;
  }
  if (const auto* real = std::get_if<double>(&reading.value); real != nullptr && !std::isfinite(*real)) {
    reading.value = std::monostate{};
    reading.quality = Quality::bad;
    reading.reason = Reason::nan;
  }
  if (const auto* text = std::get_if<std::string>(&reading.value);
      text != nullptr && text->size() > kValueTextBytesMax) {
    ++left_out_["text_too_long"];
    return false;
  }
  const auto index = static_cast<std::size_t>(reading.tag);
  if (index >= latest_.size()) {
    Reading unseen;
    unseen.tag = kNoTag;
    latest_.resize(std::max(index + 1, tags_.size()), unseen);
  }
  Reading& before = latest_[index];
  if (within_deadband(reading, before)) {
    ++left_out_["deadband"];
    return false;
  }
  before = reading;
  return true;
}

bool Normaliser::within_deadband(const Reading& reading, const Reading& before) const {
  const auto& deadband = tags_.tag(reading.tag).deadband;
  if (!deadband || before.tag == kNoTag) return false;
  if (reading.quality != before.quality || reading.reason != before.reason) return false;
  double now = 0;
  double then = 0;
  return as_number(reading.value, now) && as_number(before.value, then) && std::abs(now - then) < *deadband;
}

}  // namespace tidegate::daemon
