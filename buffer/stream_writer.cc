// How a stream takes records: frames into the active segment, the next segment when it is full, and a new one for what
// was not durable when a file fails.
#include <spdlog/fmt/fmt.h>

#include <algorithm>
#include <array>

#include "buffer/gap_record.h"
#include "buffer/stream_log.h"

namespace tidegate::buffer {
namespace {

constexpr std::size_t kAppendReadingsMax = 64 * 1024;
// Frames that wait for their sync are kept in memory, at most this many times memory_bytes_max.
constexpr std::size_t kUnsyncedShare = 4;
// A file that was not made ahead grows in steps of this.
constexpr std::uint64_t kReserveStep = 256 * 1024;
constexpr auto kReplaceAgainAfter = std::chrono::seconds(1);
constexpr int kNumbersTried = 16;

// The records were checked: what a file says of itself is never their fault, and they are to be offered again.
Error passing(Error why) {
  if (why.code != ErrorCode::full) why.code = ErrorCode::retry;
  return why;
}

}  // namespace

Result<void> StreamLog::check(const Records& records, std::span<const QueueMark> marks) const {
  if (failure_) return fail(failure_->code, fmt::format("stream {}: {}", to_string(stream_), failure_->message));
  if (records.size() > kAppendReadingsMax) {
    return fail(ErrorCode::invalid, fmt::format("stream {}: {} records in one append, at most {} can be",
                                                to_string(stream_), records.size(), kAppendReadingsMax));
  }
  if (marks.size() > kFrameMarksMax) {
    return fail(ErrorCode::invalid, fmt::format("stream {}: {} queue marks in one append, at most {} can be",
                                                to_string(stream_), marks.size(), kFrameMarksMax));
  }
  const std::uint64_t held = kUnsyncedShare * shared_.options.memory_bytes_max;
  if (shared_.options.sync != SyncPolicy::os && tail_.bytes() >= held && durable_ < next_) {
    return fail(ErrorCode::full, fmt::format("stream {}: {} bytes wait to be synced, at most {} can",
                                             to_string(stream_), tail_.bytes(), held));
  }
  return builder_.check(records);
}

Result<Position> StreamLog::append(const Records& records, const FrameTimes& times, std::span<const QueueMark> marks) {
  if (auto checked = check(records, marks); !checked) return tl::unexpected(checked.error());
  if (drops_now()) return drop(records, times, marks);
  const std::uint64_t first = next_;
  if (records.size() > 0) {
    auto written = write_run({records, first, shared_.epoch, coarse(times), shared_.boot_id, marks});
    refuses_ = std::exchange(found_full_, false);
    if (!written) {
      withdraw(first, written.error());
      const bool drops = refuses_ && !failure_ && shared_.options.when_full == WhenFull::drop_newest;
      if (drops) return drop(records, times, marks);
      return tl::unexpected(written.error().code == ErrorCode::give_up_item ? written.error()
                                                                            : passing(written.error()));
    }
  }
  take_marks(marks_, marks);
  shrink_tail();
  if (wants_spare()) enforce_size();
  return Position{shared_.epoch, first};
}

void StreamLog::shrink_tail() {
  const std::uint64_t keep = shared_.options.sync == SyncPolicy::os ? next_ : durable_;
  tail_.shrink(static_cast<std::size_t>(shared_.options.memory_bytes_max), keep);
}

// Whatever was written of a run that failed must not be found again.
void StreamLog::withdraw(std::uint64_t first, const Error& why) {
  builder_.restart_section();
  if (!std::exchange(file_failed_, false) && next_ == first) return;
  tail_.drop_from(first);
  next_ = first;
  fail_tail(why);
}

// A run is kept within one segment where it can be, so that nothing of it is written when there is no room for all.
Result<void> StreamLog::write_run(FrameRun run) {
  while (run.records.size() > 0) {
    const bool fresh = active_ && segments_.back().content.empty();
    std::size_t built = 0;
    if (active_) {
      const std::size_t sections = segments_.back().content.sections.size();
      built = builder_.build(run, {active_->identity.seed(), active_->offset, active_->limit,
                                   sections < kSectionsMax ? kSectionsMax - sections : 0});
    }
    // Nothing may be left half written when the ring turns out to be full.
    if (built < run.records.size() && !has_room_to_roll()) return tl::unexpected(ring_is_full());
    if (built < run.records.size() && !fresh) {
      if (auto rolled = roll(run.first, run.times); !rolled) return rolled;
      continue;
    }
    if (built == 0) return tl::unexpected(no_room_in_empty_segment(run));
    auto written = write_built();
    if (!written && written.error().code == ErrorCode::full && spare_ && !file_failed_) {
      // The file cannot grow any more, but the next one is there.
      if (auto rolled = roll(run.first, run.times); !rolled) return rolled;
      continue;
    }
    if (!written) return written;
    run.records = run.records.from(built);
    run.first += built;
  }
  return {};
}

// Cannot be: each record was checked to fit.
Error StreamLog::no_room_in_empty_segment(const FrameRun& run) const {
  return {ErrorCode::give_up_item, fmt::format("stream {}: record {} does not fit into an empty segment of {} bytes",
                                               to_string(stream_), run.first, segment_bytes_)};
}

Result<void> StreamLog::write_built() {
  const ByteSpan bytes = builder_.bytes();
  auto written = make_room(bytes.size());
  if (!written) return written;
  written = active_->file->write_at(active_->offset, bytes);
  file_failed_ = !written;
  if (written) commit_built();
  return written;
}

void StreamLog::commit_built() {
  for (const BuiltFrame& frame : builder_.frames()) {
    segments_.back().content.add(frame.header, frame.offset);
    tail_.push(frame.header, frame.boot_id, builder_.body(frame), frame.tags);
  }
  active_->offset += builder_.bytes().size();
  next_ = segments_.back().content.end;
  shared_.counters.written_bytes += builder_.bytes().size();
  shared_.counters.frames += builder_.frames().size();
  mark_unsynced();
}

void StreamLog::mark_unsynced() {
  if (!has_unsynced()) unsynced_since_ = shared_.clock.boot_now();
  if (!undurable_since_) undurable_since_ = shared_.clock.boot_now();
  unsynced_active_ = true;
}

// A file that was made ahead is whole; the others grow here.
Result<void> StreamLog::make_room(std::uint64_t bytes) {
  const std::uint64_t needed = active_->offset + bytes;
  if (needed <= active_->reserved) return {};
  const std::uint64_t wanted =
      std::min(active_->limit + kBlockBytes, std::max(needed, active_->reserved + kReserveStep));
  auto reserved = active_->file->reserve(wanted);
  if (reserved) {
    shared_.counters.written_bytes += wanted - active_->reserved;
    active_->reserved = wanted;
  }
  if (!reserved && reserved.error().code == ErrorCode::full) {
    lower_capacity();
  }
  return reserved;
}

Result<StreamLog::Spare> StreamLog::take_spare() {
  if (spare_) {
    Spare spare = std::move(*spare_);
    spare_.reset();
    return spare;
  }
  if (making_) {
    // What there is of it; it grows as one does that was not begun ahead.
    Spare spare{making_->new_number, std::move(making_->file), false};
    making_.reset();
    preparing_spare_ = false;
    directory_changed_ = true;
    return spare;
  }
  Error why;
  for (int i = 0; i < kNumbersTried; ++i) {
    const std::uint64_t number = next_number_++;
    auto file = shared_.files.open(path(number), OpenMode::create);
    if (file) {
      directory_changed_ = true;
      return Spare{number, std::move(*file), false};
    }
    why = file.error();
    if (why.code != ErrorCode::invalid) break;  // something of that name is there: the next number
  }
  if (why.code == ErrorCode::full) {
    lower_capacity();
  }
  return tl::unexpected(why);
}

// Begins a segment whose first record will be `first`.
Result<void> StreamLog::roll(std::uint64_t first, const FrameTimes& times) {
  builder_.restart_section();
  auto spare = take_spare();
  if (!spare) return tl::unexpected(spare.error());
  SegmentHeader header;
  header.identity = {shared_.log_id, stream_, spare->number};
  header.first = first;
  header.epoch = shared_.epoch;
  header.segment_bytes = segment_bytes_;
  header.boot_id = shared_.boot_id;
  header.times = times;
  header.recycled = spare->recycled;
  header.rewrites_to = rewrites_to_;
  header.marks = marks_;
  std::array<std::byte, kBlockBytes> block;
  write_segment_header(header, block.data());
  if (auto written = spare->file->write_at(0, block); !written) {
    condemned_.push_back({spare->number, segment_bytes_, {}, stream_, 0});
    return written;
  }
  const std::uint64_t present = spare->file->size().value_or(kBlockBytes);
  seal_active();
  Stored stored;
  stored.number = spare->number;
  stored.bytes = segment_bytes_;
  stored.content.first = stored.content.end = first;
  stored.is_copy = rewrites_to_ != 0;
  stored.begun = times;
  segments_.push_back(std::move(stored));
  active_ = Active{header.identity, std::move(spare->file), kBlockBytes, present, segment_bytes_ - kBlockBytes};
  shared_.counters.written_bytes += kBlockBytes;
  enforce_size();
  return {};
}

void StreamLog::seal_active() {
  if (!active_) return;
  if (!has_unsynced()) unsynced_since_ = shared_.clock.boot_now();
  unsynced_.push_back({active_->identity.number, std::move(active_->file), true, std::exchange(active_again_, {})});
  unsynced_active_ = false;
  active_.reset();
}

void StreamLog::fail_tail(const Error& why) {
  failure_ = passing(why);
  if (replace_tail()) {
    failure_.reset();
  } else {
    retry_at_ = shared_.clock.boot_now() + kReplaceAgainAfter;
  }
}

void StreamLog::retry_replacement(BootTime now) {
  if (failure_ && now >= retry_at_) fail_tail(Error(*failure_));
}

// Writes all that is not durable into new segments and lets go of the files it stood in. On failure everything is as it
// was, and the files that were begun are removed.
bool StreamLog::replace_tail() {
  ++generation_;
  const std::uint64_t from = durable_;
  const std::uint64_t end = next_;
  LogReader reader(shared_.files, shared_.tags, snapshot(), nullptr);
  BeforeReplacement before = take_for_replacement();
  cut_tail(from, end);
  next_ = from;
  rewrites_to_ = end;
  const auto written = write_again(from, end, reader, before.tail);
  rewrites_to_ = 0;
  if (written) {
    decoded_.clear();
    return true;
  }
  failure_ = passing(written.error());
  file_failed_ = false;
  next_ = end;
  restore(std::move(before));
  builder_.restart_section();
  return false;
}

StreamLog::BeforeReplacement StreamLog::take_for_replacement() {
  BeforeReplacement before;
  before.segments = segments_;
  before.condemned = condemned_;
  before.missing = missing_;
  before.losses = losses_;
  before.epochs = epochs_;
  before.unsynced = std::exchange(unsynced_, {});
  before.unsynced_active = std::exchange(unsynced_active_, false);
  before.active_again = std::exchange(active_again_, {});
  before.active = std::exchange(active_, std::nullopt);
  before.tail = std::exchange(tail_, MemoryTail());
  return before;
}

// Files with higher numbers than there were have been begun since.
void StreamLog::restore(BeforeReplacement before) {
  const std::uint64_t newest = before.segments.empty() ? 0 : before.segments.back().number;
  const auto give_up = [&](std::uint64_t number, std::uint64_t bytes) {
    const bool is_known = number <= newest || std::any_of(before.condemned.begin(), before.condemned.end(),
                                                          [&](const Condemned& one) { return one.number == number; });
    if (is_known || shared_.files.remove(path(number))) return;
    before.condemned.push_back({number, bytes, {}, stream_, 0});
  };
  for (const Stored& segment : segments_) give_up(segment.number, segment.bytes);
  for (const Condemned& one : condemned_) give_up(one.number, one.bytes);
  segments_ = std::move(before.segments);
  condemned_ = std::move(before.condemned);
  missing_ = std::move(before.missing);
  losses_ = std::move(before.losses);
  epochs_ = std::move(before.epochs);
  unsynced_ = std::move(before.unsynced);
  unsynced_active_ = before.unsynced_active;
  active_again_ = before.active_again;
  active_ = std::move(before.active);
  tail_ = std::move(before.tail);
}

// The files behind stay until their content is durable in the new ones; but one copy is enough.
void StreamLog::cut_tail(std::uint64_t from, std::uint64_t end) {
  while (!segments_.empty() && segments_.back().content.first >= from) {
    condemn(segments_.back(), segments_.back().is_copy ? 0 : end);
    segments_.pop_back();
  }
  if (segments_.empty()) return;
  SegmentContent& content = segments_.back().content;
  if (content.end <= from) return;
  content.end = from;
  std::erase_if(content.sections, [from](const SectionEntry& section) { return section.first >= from; });
}

Result<void> StreamLog::write_again(std::uint64_t from, std::uint64_t end, LogReader& reader,
                                    const MemoryTail& memory) {
  if (auto rolled = roll(from, coarse({shared_.clock.wall_now(), shared_.clock.boot_now(), shared_.clock.quality()}));
      !rolled) {
    return rolled;
  }
  for (std::uint64_t sequence = from; sequence < end;) {
    const std::size_t index = memory.find(sequence);
    if (index < memory.size() && memory[index].header.first <= sequence) {
      RecordBatch batch;
      const MemoryFrame& frame = memory[index];
      const auto status = decoder_.decode(stream_, frame.header, frame.body_span(), *frame.tags, batch);
      if (status != DecodeStatus::ok) {
        return fail(ErrorCode::corrupt, fmt::format("stream {}: the frame of sequence {} in memory cannot be decoded",
                                                    to_string(stream_), frame.header.first));
      }
      batch.boot_id = frame.boot_id;
      trim_front(batch, sequence);  // the disk's batches can reach into the first frame in memory
      if (auto written = write_batch(batch); !written) return written;
      sequence = frame.header.end();
      continue;
    }
    auto outcome = reader.read(epochs_.at(sequence));
    if (!outcome) return tl::unexpected(outcome.error());
    if (outcome->status == ReadStatus::at_end) break;
    if (outcome->status == ReadStatus::gone) {
      const SequenceRange lost{sequence, std::min(outcome->next.sequence, end)};
      for (const SequenceRange& part : without(lost, missing_)) losses_.push_back(damage_in(part));
      add_missing(lost);
    } else if (auto written = write_batch(*outcome->batch); !written) {
      return written;
    }
    sequence = outcome->next.sequence;
  }
  next_ = end;
  return {};
}

Result<void> StreamLog::write_batch(const RecordBatch& batch) {
  return write_run({{batch.readings, batch.documents}, batch.first, batch.epoch, batch.times, batch.boot_id, {}});
}

}  // namespace tidegate::buffer
