// What a stream does when it is full of records that not every uplink has passed, and which records are too old.
#include <spdlog/fmt/fmt.h>

#include <algorithm>

#include "buffer/segment_file.h"
#include "buffer/stream_log.h"
#include "core/log.h"
#include "core/text.h"

namespace tidegate::buffer {

bool StreamLog::keeps_unpassed() const {
  return stream_ == Stream::readings && shared_.options.when_full != WhenFull::drop_oldest;
}

// Only durable records are given up: the durable mark must not overtake what is on the disk.
bool StreamLog::may_evict(const Stored& segment) const {
  return segment.content.end <= durable_ && (!keeps_unpassed() || segment.content.end <= passed_);
}

// Whether one more segment may be begun. What is written anew after a failure was taken already and always may.
bool StreamLog::has_room_to_roll() {
  if (!keeps_unpassed() || rewrites_to_ != 0) return true;
  lift_cap(shared_.clock.boot_now());
  enforce_size();
  return spare_.has_value() || segments_bytes() + segment_bytes_ <= capacity();
}

Error StreamLog::ring_is_full() {
  found_full_ = true;
  return {ErrorCode::full, fmt::format("stream {}: its {} are full of records that not every uplink has passed",
                                       to_string(stream_), format_size(capacity()))};
}

bool StreamLog::drops_now() { return drops_.is_open() && !has_room_to_roll(); }

void StreamLog::close_drops() {
  if (!drops_.is_open() || !has_room_to_roll()) return;
  drops_.close();
  log_info("log", "stream {} has room again: new readings are kept", to_string(stream_));
}

// The readings take their sequences and are missing from then on. Nothing is written here; the ledger says what the
// state database and a gap record have to say of them.
Position StreamLog::drop(const Records& records, const FrameTimes& times, std::span<const QueueMark> marks) {
  const SequenceRange range{next_, next_ + records.size()};
  take_marks(marks_, marks);
  if (range.empty()) return Position{shared_.epoch, next_};
  if (!drops_.is_open()) {
    log_warning("log",
                "stream {}: its {} are full of records that not every uplink has passed; new readings are "
                "dropped and counted until there is room",
                to_string(stream_), format_size(capacity()));
  }
  next_ = range.end;
  if (!missing_.empty() && missing_.back().end == range.first) {
    missing_.back().end = range.end;
  } else {
    missing_.push_back(range);
  }
  drops_.add(range, times.wall, shared_.clock.boot_now());
  take_durable(durable_);
  return Position{shared_.epoch, range.first};
}

// What is missing needs no sync.
void StreamLog::take_durable(std::uint64_t target) {
  if (undurable_since_) {
    const Duration age = shared_.clock.boot_now() - *undurable_since_;
    shared_.counters.undurable_worst = std::max(shared_.counters.undurable_worst, age);
  }
  const bool moved = target > durable_;
  durable_ = std::max(durable_, target);
  for (const SequenceRange& hole : missing_) {
    if (hole.first <= durable_) durable_ = std::max(durable_, hole.end);
  }
  if (durable_ >= next_) {
    undurable_since_.reset();
  } else if (moved && undurable_since_) {
    undurable_since_ = std::max(*undurable_since_, unsynced_since_);
  }
}

StreamFill StreamLog::fill() const {
  StreamFill fill;
  // Those that make room are evicted as soon as the next segment is made, when the active one is half full, or while a
  // rewritten segment's file waits to become that.
  const std::uint64_t ahead = keeps_a_file() ? segment_bytes_ : segment_bytes_ / 2;
  fill.capacity_bytes = capacity() - (keeps_unpassed() ? 0 : ahead);
  fill.is_full = refuses_ || drops_.is_open();
  for (std::size_t i = segments_.size(); i-- > 0 && segments_[i].content.end > passed_;) {
    const SegmentContent& content = segments_[i].content;
    const bool newest = i + 1 == segments_.size();
    if (!newest) {
      fill.unpassed_bytes += segments_[i].bytes;
      continue;
    }
    const std::uint64_t used = active_ ? active_->offset : content.used_bytes;
    const std::uint64_t all = content.end - content.first;
    const std::uint64_t left = content.end - std::max(content.first, passed_);
    if (all > 0)
      fill.unpassed_bytes +=
          static_cast<std::uint64_t>(static_cast<double>(used) * static_cast<double>(left) / static_cast<double>(all));
  }
  return fill;
}

std::optional<WallTime> StreamLog::newest_wall() const {
  for (std::size_t i = segments_.size(); i-- > 0;) {
    if (!segments_[i].content.empty()) return segments_[i].content.wall_to;
  }
  return std::nullopt;
}

std::optional<WallTime> StreamLog::latest_wall() const {
  std::optional<WallTime> latest;
  for (const Stored& segment : segments_) {
    if (!segment.content.empty()) latest = std::max(latest, std::optional(segment.content.wall_to));
  }
  return latest;
}

// How old a record is can be told from where a later segment was begun under a synced clock: what lies before is older.
// The times of the records themselves may be those of a clock that was not set yet. Of this boot the boot clock has to
// say the same, so that a time server that is wrong takes nothing away.
void StreamLog::evict_older(WallTime limit) {
  const BootTime boot_limit = shared_.clock.boot_now() - shared_.options.max_age.value_or(Duration::zero());
  std::size_t older = 0;
  for (std::size_t i = 1; i < segments_.size(); ++i) {
    const FrameTimes& begun = segments_[i].begun;
    const bool may_be_older = segments_[i].begun_in_other_boot || begun.boot <= boot_limit;
    if (begun.quality == ClockQuality::synced && begun.wall <= limit && may_be_older) older = i;
  }
  while (older-- > 0 && segments_.front().content.end <= durable_) condemn_oldest({"age", &EvictionLosses::age});
}

}  // namespace tidegate::buffer
