#include "uplink/doubtful_times.h"

#include <optional>
#include <string_view>

#include "uplink/time_text.h"

namespace tidegate::uplink {
namespace {

// Unsigned, because times that were read from a file can lie anywhere.
WallTime later(WallTime time, Duration by) {
  const auto sum = static_cast<std::uint64_t>(time.time_since_epoch().count()) + static_cast<std::uint64_t>(by.count());
  return WallTime(Duration(static_cast<std::int64_t>(sum)));
}

bool is_same(const FrameTimes& a, const FrameTimes& b) {
  return a.wall == b.wall && a.boot == b.boot && a.quality == b.quality;
}

}  // namespace

void DoubtfulTimes::add(const TimeSpot& spot, WallTime time, const RecordBatch& batch) {
  const bool known = !frames_.empty() && frames_.back().boot_id == batch.boot_id &&  //
                     is_same(frames_.back().times, batch.times);
  if (!known) frames_.push_back({batch.boot_id, batch.times});
  entries_.push_back({static_cast<std::uint32_t>(spot.time_at), static_cast<std::uint32_t>(spot.time_bytes),
                      static_cast<std::uint32_t>(spot.word_at), static_cast<std::uint32_t>(frames_.size() - 1), time});
}

void DoubtfulTimes::clear() {
  frames_.clear();
  entries_.clear();
}

void DoubtfulTimes::correct(std::string& text, const ClockHistory& history) const {
  std::vector<std::optional<Duration>> shifts;
  bool any = false;
  for (const Frame& frame : frames_) {
    shifts.push_back(history.shift(frame.boot_id, frame.times));
    any = any || shifts.back();
  }
  if (!any) return;
  std::string corrected;
  corrected.reserve(text.size() + entries_.size() * kGrowthMax);
  std::size_t taken = 0;
  for (const Entry& entry : entries_) {
    const auto& shift = shifts[entry.frame];
    if (!shift) continue;
    corrected.append(text, taken, entry.time_at - taken);
    append_time(corrected, later(entry.time, *shift));
    const std::size_t behind = entry.time_at + entry.time_bytes;
    corrected.append(text, behind, entry.word_at - behind);
    corrected += to_string(ClockQuality::estimated);
    taken = entry.word_at + std::string_view(to_string(frames_[entry.frame].times.quality)).size();
  }
  corrected.append(text, taken);
  text = std::move(corrected);
}

}  // namespace tidegate::uplink
