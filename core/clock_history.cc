#include "core/clock_history.h"

#include <algorithm>
#include <tuple>

namespace tidegate {
namespace {

constexpr std::size_t kAnchorsMax = 1'000;  // of one boot; a clock that is set more often tells nothing by it
constexpr std::size_t kBootsMax = 1'000;

bool is_earlier(const ClockAnchor& a, const ClockAnchor& b) {
  return std::tuple(a.boot, a.quality, a.offset) < std::tuple(b.boot, b.quality, b.offset);
}

bool is_synced(const ClockAnchor& anchor) { return anchor.quality == ClockQuality::synced; }

}  // namespace

void ClockHistory::add(const ClockAnchor& anchor) {
  if (anchor.quality == ClockQuality::unsynced || anchor.boot_id == BootId{}) return;
  const bool is_room = boots_.size() < kBootsMax || anchor.boot_id == this_boot_;
  if (!is_room && !boots_.contains(anchor.boot_id)) return;
  Anchors& anchors = boots_[anchor.boot_id];
  const auto at = std::lower_bound(anchors.begin(), anchors.end(), anchor, is_earlier);
  const bool is_known = at != anchors.end() && !is_earlier(anchor, *at);
  if (is_known || anchors.size() >= kAnchorsMax) return;
  anchors.insert(at, anchor);
}

std::optional<Duration> ClockHistory::shift(const BootId& boot_id, const FrameTimes& times) const {
  if (times.quality == ClockQuality::synced) return std::nullopt;
  const auto found = boots_.find(boot_id);
  if (found == boots_.end()) return std::nullopt;
  const Anchors& anchors = found->second;
  const auto behind = std::partition_point(anchors.begin(), anchors.end(),
                                           [&](const ClockAnchor& one) { return one.boot < times.boot; });
  auto anchor = std::find_if(behind, anchors.end(), is_synced);
  if (times.quality == ClockQuality::estimated) {
    if (std::any_of(anchors.begin(), behind, is_synced)) return std::nullopt;
  } else if (anchor == anchors.end()) {
    anchor = behind;
  }
  if (anchor == anchors.end()) return std::nullopt;
  // Unsigned, because times that were read from a file can lie anywhere.
  const auto bits = [](Duration time) { return static_cast<std::uint64_t>(time.count()); };
  const std::uint64_t shown = bits(times.wall.time_since_epoch()) - bits(times.boot.time_since_epoch());
  return std::chrono::floor<std::chrono::milliseconds>(
      Duration(static_cast<std::int64_t>(bits(anchor->offset) - shown)));
}

}  // namespace tidegate
