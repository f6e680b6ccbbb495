#include "daemon/target_place.h"

#include <spdlog/fmt/fmt.h>

#include <algorithm>
#include <utility>

namespace tidegate::daemon {

TargetPlaces::TargetPlaces(const buffer::RingLog& log, const StartMarks& marks, uplink::TargetCursor cursor)
    : log_(log), cursor_(std::move(cursor)) {
  const uplink::LogHistory& history = marks.history;
  // Where it is known of an older copy: not what is_of() takes for granted of a log that was away for long.
  if (const auto& earlier = cursor_.earlier; earlier && last_common_start(earlier->history, history)) {
    earlier_ = std::make_unique<TargetPlaces>(log, marks, uplink::TargetCursor{earlier->history, "", earlier->next});
  }
  if (is_of(cursor_, history)) return;
  if (const auto common = last_common_start(cursor_.history, history)) {
    const auto next = std::upper_bound(history.starts.begin(), history.starts.end(), *common);
    kin_ = Kin::older_copy;
    // Behind the common one there is one: this one.
    parted_ = marks.ends[static_cast<std::size_t>(next - history.starts.begin())];
    remark_ =
        "the target has records that this log has never had: an older copy of the disk came back. What was in that "
        "copy "
        "the target has; what was taken in since then is sent";
    return;
  }
  kin_ = Kin::stranger;
  remark_ = cursor_.history.log == history.log
                ? "the target's cursor is of a copy of this log that parted from it too long ago to tell what it has: "
                  "this one goes on from its own cursor"
                : fmt::format(
                      "the target's cursor is of another log ({}, this one is {}): this one goes on from its "
                      "own cursor",
                      cursor_.history.log, history.log);
}

// Up to where the copy parted both have given the same numbers to the same records.
std::optional<Position> TargetPlaces::place(Stream stream) const {
  const auto found = cursor_.next.find(stream);
  if (found == cursor_.next.end() && earlier_) return earlier_->place(stream);
  if (kin_ == Kin::stranger || found == cursor_.next.end()) return std::nullopt;
  if (kin_ == Kin::same) return found->second;
  return log_.position_of(stream, std::min(parted_[static_cast<std::size_t>(stream)], found->second.sequence));
}

}  // namespace tidegate::daemon
