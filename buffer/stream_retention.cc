// What becomes of a stream's files: which are synced, sealed, made ahead, given up and used again.
#include <algorithm>

#include "buffer/gap_record.h"
#include "buffer/stream_log.h"
#include "core/free_room.h"

namespace tidegate::buffer {
namespace {

constexpr std::uint64_t kSegmentsMin = 2;
constexpr std::size_t kRemovalsPerJob = 8;
// A new file is made in this many parts, none larger than kPartBytesMax: on an SD card some 25 ms.
constexpr std::uint64_t kParts = 32;
constexpr std::uint64_t kPartBytesMax = 256 * 1024;
constexpr auto kTasksAgainAfter = std::chrono::seconds(1);
constexpr auto kLiftCapAfter = std::chrono::seconds(10);
constexpr auto kSyncAgainAfter = std::chrono::seconds(1);

bool fits_footer(const SegmentContent& content) {
  return !content.empty() && content.sections.size() <= kSectionsMax && content.missing.size() <= kFooterMissingMax;
}

}  // namespace

std::uint64_t StreamLog::capacity() const {
  const std::uint64_t size = shared_.options.size_max_bytes[static_cast<std::size_t>(stream_)];
  return std::max(kSegmentsMin * segment_bytes_, std::min(size, capacity_cap_));
}

std::uint64_t StreamLog::segments_bytes() const {
  std::uint64_t bytes = 0;
  for (const Stored& segment : segments_) bytes += segment.bytes;
  return bytes;
}

std::uint64_t StreamLog::condemned_bytes() const {
  std::uint64_t bytes = 0;
  for (const Condemned& one : condemned_) bytes += one.bytes;
  return bytes;
}

// The disk has no room for more than there is.
void StreamLog::lower_capacity() {
  capacity_cap_ = segments_bytes();
  capped_at_ = shared_.clock.boot_now();
  enforce_size();
}

// If the disk is as full as it was, the next segment cannot be made and the ring is capped again.
void StreamLog::lift_cap(BootTime now) {
  if (capacity_cap_ == UINT64_MAX || now - capped_at_ < kLiftCapAfter) return;
  capped_at_ = now;
  capacity_cap_ += segment_bytes_;
  if (capacity_cap_ >= shared_.options.size_max_bytes[static_cast<std::size_t>(stream_)]) capacity_cap_ = UINT64_MAX;
}

// The next segment is made when the active one is half full. `events` always has one: when the disk is full, the others
// can only go on once their gaps are recorded there.
bool StreamLog::wants_spare() const {
  if (!active_ || spare_ || preparing_spare_ || failure_) return false;
  return stream_ == Stream::events || active_->offset > segment_bytes_ / 2;
}

// Only durable records are given up: the durable mark must not overtake what is on the disk.
void StreamLog::enforce_size() {
  const std::uint64_t ahead = spare_ || preparing_spare_ || wants_spare() || keeps_a_file() ? segment_bytes_ : 0;
  while (segments_.size() > 1 && segments_bytes() + ahead > capacity() && may_evict(segments_.front())) {
    condemn_oldest({"overflow", &EvictionLosses::overflow});
  }
}

void StreamLog::condemn_oldest(const EvictionReason& reason) {
  const Stored oldest = std::move(segments_.front());
  segments_.pop_front();
  Condemned condemned{oldest.number, oldest.bytes, {}, Stream::events, 0, oldest.content.first < opened_at_};
  for (const SequenceRange& range : without({oldest.content.first, oldest.content.end}, missing_)) {
    condemned.losses.push_back({range, reason.name, oldest.content.wall_from, oldest.content.wall_to});
    evicted_.*reason.counted += range.end - std::min(std::max(range.first, passed_), range.end);
  }
  condemned_.push_back(std::move(condemned));
  std::erase_if(missing_, [this](const SequenceRange& range) { return range.end <= oldest_sequence(); });
  std::erase_if(unsynced_, [&](const Unsynced& one) { return one.number == oldest.number; });
  epochs_.forget_before(oldest_sequence());
}

// The file stays until this stream is durable up to `until_durable`.
void StreamLog::condemn(const Stored& segment, std::uint64_t until_durable) {
  condemned_.push_back({segment.number, segment.bytes, {}, stream_, until_durable});
}

std::vector<Loss> StreamLog::to_record(const std::vector<Loss>& losses, std::span<const SequenceRange> recorded) const {
  std::vector<Loss> left;
  for (Loss loss : losses) {
    loss.range.first = std::max(loss.range.first, passed_);
    if (loss.range.empty()) continue;
    for (const SequenceRange& range : without(loss.range, recorded)) {
      left.push_back({range, loss.reason, loss.from, loss.to});
    }
  }
  return left;
}

std::vector<std::string> StreamLog::describe(const Loss& loss) const {
  return gap_documents(stream_, loss, epochs_, next_);
}

bool StreamLog::has_full_segment() const {
  return std::any_of(unsynced_.begin(), unsynced_.end(), [](const Unsynced& one) { return one.is_full; });
}

bool StreamLog::waits_for(Stream stream, std::uint64_t durable) const {
  return std::any_of(condemned_.begin(), condemned_.end(), [&](const Condemned& one) {
    return one.losses.empty() && one.waits_for == stream && one.until > durable;
  });
}

bool StreamLog::is_removable(const Condemned& one, const std::array<std::uint64_t, kStreamCount>& durable) const {
  return one.losses.empty() && durable[static_cast<std::size_t>(one.waits_for)] >= one.until;
}

FileSync StreamLog::sync_of(const Unsynced& one) const {
  FileSync sync;
  sync.number = one.number;
  sync.file = one.file;
  sync.path = path(one.number);
  sync.again = one.again;
  const auto segment = std::find_if(segments_.begin(), segments_.end(),
                                    [&](const Stored& stored) { return stored.number == one.number; });
  if (!one.is_full || segment == segments_.end() || !fits_footer(segment->content)) return sync;
  sync.is_full = true;
  sync.footer.resize(kBlockBytes);
  sync.footer_at = segment->bytes - kBlockBytes;
  write_segment_footer({shared_.log_id, stream_, one.number}, segment->content, sync.footer.data());
  return sync;
}

void StreamLog::start_sync(StreamWork& work, BootTime now) {
  if (failure_ || !has_unsynced() || now < syncs_not_before_) return;
  work.directory = directory_;
  work.syncs = true;
  work.target = next_;
  work.generation = generation_;
  work.directory_changed = std::exchange(directory_changed_, false);
  for (const Unsynced& one : unsynced_) work.files.push_back(sync_of(one));
  unsynced_.clear();
  if (std::exchange(unsynced_active_, false)) {
    work.files.push_back(sync_of({active_->identity.number, active_->file, false, std::exchange(active_again_, {})}));
    // What is durable now is never written again, not even as the rest of a block.
    active_->offset = (active_->offset + kBlockBytes - 1) / kBlockBytes * kBlockBytes;
  }
}

std::optional<BootTime> StreamLog::tasks_at(const std::array<std::uint64_t, kStreamCount>& durable) const {
  const bool removable = std::any_of(condemned_.begin(), condemned_.end(), [&](const Condemned& one) {
    return is_removable(one, durable) && !keeps_for_reuse(one);
  });
  const bool creatable = wants_spare() && segments_bytes() + condemned_bytes() + segment_bytes_ <= capacity();
  const bool replaces = replacement_ && !replacement_->is_out;
  return removable || creatable || making_ || replaces ? std::optional(tasks_at_) : std::nullopt;
}

// One file of a segment that was rewritten is kept until the next one is to be made: a new file would be written twice.
bool StreamLog::keeps_for_reuse(const Condemned& one) const {
  if (!shared_.options.compact || !active_ || spare_ || preparing_spare_ || wants_spare()) return false;
  const auto first = std::find_if(condemned_.begin(), condemned_.end(), [&](const Condemned& other) {
    return other.is_dense_name && other.bytes == segment_bytes_;
  });
  return first != condemned_.end() && &*first == &one;
}

bool StreamLog::keeps_a_file() const {
  return std::any_of(condemned_.begin(), condemned_.end(), [&](const Condemned& one) { return keeps_for_reuse(one); });
}

void StreamLog::add_spare_task(StreamWork& work, const std::array<std::uint64_t, kStreamCount>& durable) {
  SegmentTask task;
  const auto old = std::find_if(condemned_.begin(), condemned_.end(), [&](const Condemned& one) {
    return one.bytes == segment_bytes_ && is_removable(one, durable);
  });
  if (old != condemned_.end()) {
    task.kind = SegmentTask::Kind::recycle;
    task.number = old->number;
    task.path = path(*old);
    task.is_dense_name = old->is_dense_name;
    condemned_.erase(old);
  } else if (segments_bytes() + condemned_bytes() + segment_bytes_ > capacity()) {
    return;
  }
  task.new_number = next_number_++;
  task.new_path = path(task.new_number);
  task.bytes = segment_bytes_;
  task.make_to = make_to(0);
  preparing_spare_ = true;
  work.tasks.push_back(std::move(task));
}

// One part further, or as much as it takes to be whole when the active segment is three quarters full.
std::uint64_t StreamLog::make_to(std::uint64_t made) const {
  const std::uint64_t part = std::min(segment_bytes_ / kParts / kBlockBytes * kBlockBytes, kPartBytesMax);
  std::uint64_t needed = 0;
  if (active_ && active_->offset > segment_bytes_ / 2) {
    needed = 4 * (active_->offset - segment_bytes_ / 2) / kBlockBytes * kBlockBytes;
  }
  return std::min(segment_bytes_, std::max(made + std::max<std::uint64_t>(part, kBlockBytes), needed));
}

void StreamLog::start_tasks(StreamWork& work, const std::array<std::uint64_t, kStreamCount>& durable) {
  work.directory = directory_;
  if (making_) {
    making_->make_to = make_to(making_->made);
    work.tasks.push_back(*std::exchange(making_, std::nullopt));
  } else if (wants_spare()) {
    add_spare_task(work, durable);
  }
  if (replacement_ && !replacement_->is_out) add_replacement(work);
  for (std::size_t i = 0; i < condemned_.size() && work.tasks.size() < kRemovalsPerJob;) {
    if (!is_removable(condemned_[i], durable) || keeps_for_reuse(condemned_[i])) {
      ++i;
      continue;
    }
    SegmentTask task;
    task.kind = SegmentTask::Kind::remove;
    task.number = condemned_[i].number;
    task.path = path(condemned_[i]);
    task.is_dense_name = condemned_[i].is_dense_name;
    task.bytes = condemned_[i].bytes;
    work.tasks.push_back(std::move(task));
    condemned_.erase(condemned_.begin() + static_cast<std::ptrdiff_t>(i));
  }
}

bool StreamLog::finish(StreamWork& work) {
  const std::uint64_t before = durable_;
  if (work.error) ++shared_.counters.sync_failures;
  if (work.syncs && work.generation == generation_) {
    if (work.error) {
      // The first time the next file is tried at once; after that the disk is given time.
      if (++sync_failures_ > 1) {
        syncs_not_before_ = shared_.clock.boot_now() + kSyncAgainAfter;
        sync_failure_ = work.error;
      }
      fail_tail(*work.error);
    } else {
      sync_failures_ = 0;
      sync_failure_.reset();
      take_durable(work.target);
    }
  }
  for (const FileSync& one : work.files) {
    const auto segment = std::find_if(segments_.begin(), segments_.end(),
                                      [&](const Stored& stored) { return stored.number == one.number; });
    if (one.footer_written) shared_.counters.written_bytes += kBlockBytes;
    if (!one.footer_written || segment == segments_.end() || work.generation != generation_) continue;
    segment->footer_at = one.footer_at;
    free_room(segment->content.sections);
  }
  for (SegmentTask& task : work.tasks) finish_task(task);
  shrink_tail();
  enforce_size();
  return durable_ > before;
}

void StreamLog::finish_task(SegmentTask& task) {
  if (task.kind == SegmentTask::Kind::replace) return finish_replacement(task);
  const bool makes = task.kind != SegmentTask::Kind::remove;
  if (makes) preparing_spare_ = false;
  if (task.error) {
    tasks_at_ = shared_.clock.boot_now() + kTasksAgainAfter;
    if (makes && task.error->code == ErrorCode::full) lower_capacity();
    const bool present = task.kind != SegmentTask::Kind::create && task.error->code != ErrorCode::not_found;
    if (present) condemned_.push_back({task.number, task.bytes, {}, stream_, 0, false, task.is_dense_name});
    return;
  }
  if (makes) take_made(task);
}

void StreamLog::take_made(SegmentTask& task) {
  const bool is_new = task.kind == SegmentTask::Kind::create;
  if (is_new) shared_.counters.written_bytes += task.make_to - std::exchange(task.made, task.make_to);
  if (!segments_.empty() && task.new_number < segments_.back().number) {
    // Overtaken: numbers must rise.
    condemned_.push_back({task.new_number, is_new ? task.made : task.bytes, {}, stream_, 0});
  } else if (is_new && task.made < task.bytes) {
    preparing_spare_ = true;
    making_ = std::move(task);
  } else {
    spare_ = Spare{task.new_number, std::move(task.file), !is_new};
  }
}

}  // namespace tidegate::buffer
