#include "buffer/stream_log.h"

#include <algorithm>
#include <array>

#include "buffer/gap_record.h"
#include "buffer/segment_file.h"
#include "core/free_room.h"

namespace tidegate::buffer {
namespace {

constexpr std::uint64_t kSegmentsPerStream = 8;
constexpr std::size_t kDecodedBatchesKept = 4;
// A segment with less room or more sections than this is not gone on with.
constexpr std::uint64_t kResumeRoomMin = 16 * 1024;
constexpr std::size_t kResumeSectionsMax = 56;

std::uint64_t segment_bytes_of(const RingLogOptions& options, Stream stream) {
  const std::uint64_t size = options.size_max_bytes[static_cast<std::size_t>(stream)];
  const std::uint64_t bytes = std::min({options.segment_bytes_max, size / kSegmentsPerStream, std::uint64_t{1} << 30});
  return std::max(bytes / kBlockBytes * kBlockBytes, kSegmentBytesMin);
}

}  // namespace

std::size_t text_bytes_max(const RingLogOptions& options) {
  const std::uint64_t segment_bytes = segment_bytes_of(options, Stream::readings);
  return ReadingsEncoder::text_bytes_max(FrameBuilder::body_max_of(segment_bytes));
}

StreamLog::StreamLog(Shared& shared, RecoveredStream recovered, Position known_durable)
    : shared_(shared),
      stream_(recovered.stream),
      directory_(stream_directory(shared.options.directory, recovered.stream)),
      segment_bytes_(segment_bytes_of(shared.options, recovered.stream)),
      builder_(shared.tags, recovered.stream, segment_bytes_),
      next_number_(recovered.next_number),
      epochs_(std::move(recovered.epochs)),
      next_(recovered.next_sequence),
      opened_at_(recovered.next_sequence),
      marks_(std::move(recovered.marks)),
      losses_(std::move(recovered.losses)) {
  epochs_.add(shared.epoch, next_);
  const std::uint64_t oldest = recovered.segments.empty() ? next_ : recovered.segments.front().content.first;
  durable_ = std::max(epochs_.sequence_of(known_durable, next_), oldest);
  for (const Loss& loss : recovered.dropped) add_missing(loss.range);
  drops_.take_over(std::move(recovered.dropped), std::move(recovered.dropped_recorded), recovered.events_end);
  take_segments(recovered);
  take_spares(recovered);
  for (const Loss& loss : losses_) add_missing(loss.range);
  take_durable(durable_);
  epochs_.forget_before(oldest_sequence());
}

// What its file has when it is full; the footer is looked for at the end of that.
std::uint64_t StreamLog::whole_bytes(const LoadedSegment& segment) const {
  if (segment.header) return segment.header->segment_bytes;
  return segment.sealed ? segment.file_bytes : std::max(segment.file_bytes, segment_bytes_);
}

void StreamLog::take_segments(RecoveredStream& recovered) {
  for (LoadedSegment& segment : recovered.segments) {
    const bool is_newest = &segment == &recovered.segments.back();
    const bool restored = !segment.header && restore_header(segment, is_newest ? marks_ : std::vector<QueueMark>());
    const ByteRange again = undurable_part(segment);
    Stored stored{segment.identity.number, whole_bytes(segment), 0, std::move(segment.content)};
    if (segment.sealed) {
      stored.footer_at = stored.bytes - kBlockBytes;
      free_room(stored.content.sections);
    }
    if (segment.header) {
      stored.begun = segment.header->times;
      stored.begun_in_other_boot = segment.header->boot_id != shared_.boot_id;
      stored.dense = segment.header->dense;
    }
    // What another process wrote and did not sync is only in the page cache.
    if (stored.content.end > durable_ || restored) {
      unsynced_.push_back({stored.number, nullptr, false, again});
    }
    segments_.push_back(std::move(stored));
  }
  for (const LoadedSegment& segment : recovered.superseded) {
    condemned_.push_back({segment.identity.number, segment.file_bytes, {}, stream_, next_});
  }
  if (!recovered.segments.empty()) resume(recovered.segments.back());
  seal_recovered();
  directory_changed_ = true;  // whether the names that were found are durable is not known
  unsynced_since_ = shared_.clock.boot_now();
  if (!unsynced_.empty() || unsynced_active_) undurable_since_ = unsynced_since_;
}

// What has a footer was synced before it got it.
ByteRange StreamLog::undurable_part(const LoadedSegment& segment) const {
  if (segment.sealed || segment.content.end <= durable_) return {};
  if (segment.content.first >= durable_) return {0, segment.end_offset};
  const auto file = shared_.files.open(segment.path, OpenMode::read);
  std::uint64_t begin = 0;
  if (file) {
    // Opening has read the segment already: the last section that begins before is near enough to begin at.
    std::uint64_t from = kBlockBytes;
    for (const SectionEntry& section : segment.content.sections) {
      if (section.first <= durable_) from = section.offset;
    }
    FrameScanner scanner(**file, segment.identity.seed(), from, segment.end_offset);
    while (const auto frame = scanner.next()) {
      begin = frame->offset;
      if (frame->header.end() > durable_) break;
    }
  }
  return {begin, segment.end_offset};
}

// Goes on in the newest segment, at the next block: what lies behind the last frame may be torn.
void StreamLog::resume(const LoadedSegment& segment) {
  if (segment.sealed || !segment.header || segment.header->segment_bytes != segment_bytes_) return;
  const std::uint64_t limit = segment_bytes_ - kBlockBytes;
  const std::uint64_t offset = (segment.end_offset + kBlockBytes - 1) / kBlockBytes * kBlockBytes;
  if (offset + kResumeRoomMin > limit || segments_.back().content.sections.size() > kResumeSectionsMax) return;
  auto file = shared_.files.open(segment.path, OpenMode::write);
  if (!file) return;
  active_ = Active{segment.identity, std::move(*file), offset, segment.file_bytes, limit};
  segments_.back().bytes = segment_bytes_;
  if (!unsynced_.empty() && unsynced_.back().number == segment.identity.number) {
    active_again_ = unsynced_.back().again;
    unsynced_.pop_back();
    unsynced_active_ = true;
  }
}

// Segments that end without a footer and will not be gone on with get theirs now.
void StreamLog::seal_recovered() {
  const std::size_t full = segments_.size() - (active_ ? 1 : 0);
  for (std::size_t i = 0; i < full; ++i) {
    const Stored& segment = segments_[i];
    if (segment.footer_at != 0 || segment.bytes < segment.content.used_bytes + kBlockBytes) continue;
    const auto known = std::find_if(unsynced_.begin(), unsynced_.end(),
                                    [&](const Unsynced& one) { return one.number == segment.number; });
    if (known != unsynced_.end()) {
      known->is_full = true;
    } else {
      unsynced_.push_back({segment.number, nullptr, true});
    }
  }
}

// A header that is damaged costs nothing as long as somebody knows the log's id; it is written again, so that the file
// tells by itself. There is nothing in the block that could be lost.
bool StreamLog::restore_header(const LoadedSegment& segment, const std::vector<QueueMark>& marks) const {
  SegmentHeader header;
  header.identity = segment.identity;
  header.first = segment.content.first;
  header.epoch = segment.content.sections.empty() ? segment.content.last_epoch : segment.content.sections.front().epoch;
  header.segment_bytes = whole_bytes(segment);
  header.boot_id = shared_.boot_id;
  header.times = {segment.content.wall_from, {}, ClockQuality::unsynced};
  header.recycled = true;  // it may be
  header.marks = marks;
  const auto file = shared_.files.open(segment.path, OpenMode::write);
  if (!file) return false;
  std::array<std::byte, kBlockBytes> block{};
  (void)(*file)->read_at(kBlockBytes, std::span(block).first(kFrameHeaderBytes));
  const auto first = read_frame_header(block.data(), segment.identity.seed());
  header.dense = segment.sealed && first && is_dense(first->codec);
  write_segment_header(header, block.data());
  return (*file)->write_at(0, block).has_value();
}

// None is used under the number that it has: it may have been begun, and lost its header in a power cut; frames of then
// would pass for new ones. Those that fit get another number when the next segment is made ahead.
void StreamLog::take_spares(RecoveredStream& recovered) {
  for (const SegmentFile& file : recovered.spares) condemned_.push_back({file.number, file.bytes, {}, stream_, 0});
  for (const std::uint64_t number : recovered.rewritten) {
    condemned_.push_back({number, 0, {}, stream_, 0, false, true});  // the segment itself is whole, with either file
  }
}

std::string StreamLog::path(std::uint64_t number) const { return directory_ + "/" + segment_name(number); }

std::string StreamLog::path(const Condemned& one) const {
  return one.is_dense_name ? directory_ + "/" + dense_name(one.number) : path(one.number);
}

std::uint64_t StreamLog::missing_in(SequenceRange range) const {
  std::uint64_t count = 0;
  for (const SequenceRange& hole : missing_) {
    const SequenceRange common{std::max(hole.first, range.first), std::min(hole.end, range.end)};
    if (!common.empty()) count += common.count();
  }
  return count;
}

std::vector<SequenceRange> StreamLog::missing(SequenceRange range) const {
  std::vector<SequenceRange> parts;
  const auto add = [&](SequenceRange part) {
    part = {std::max(part.first, range.first), std::min(part.end, range.end)};
    if (!part.empty()) parts.push_back(part);
  };
  add({0, oldest_sequence()});
  for (const SequenceRange& hole : missing_) add({std::max(hole.first, oldest_sequence()), hole.end});
  return parts;
}

void StreamLog::add_missing(SequenceRange range) {
  for (const SequenceRange& part : without(range, missing_)) {
    const auto place =
        std::upper_bound(missing_.begin(), missing_.end(), part.first,
                         [](std::uint64_t first, const SequenceRange& one) { return first < one.first; });
    missing_.insert(place, part);
  }
}

// With the times of the segments that it lies in.
Loss StreamLog::damage_in(SequenceRange range) const {
  Loss loss{range, "corruption", {}, {}};
  for (const Stored& segment : segments_) {
    const SegmentContent& content = segment.content;
    if (content.end <= range.first || content.first >= range.end) continue;
    if (loss.from == WallTime{}) loss.from = content.wall_from;
    loss.to = content.wall_to;
  }
  return loss;
}

bool StreamLog::add_damage(SequenceRange range) {
  range.first = std::max(range.first, oldest_sequence());
  range.end = std::min(range.end, next_);
  if (range.empty()) return false;
  const auto unknown = without(range, missing_);
  for (const SequenceRange& part : unknown) losses_.push_back(damage_in(part));
  add_missing(range);
  return !unknown.empty();
}

std::uint64_t StreamLog::stored() const {
  const SequenceRange all{oldest_sequence(), next_};
  return all.count() - missing_in(all);
}

std::uint64_t StreamLog::bytes() const {
  std::uint64_t total = segments_bytes() + (spare_ ? segment_bytes_ : 0) + (making_ ? making_->made : 0);
  if (replacement_) total += replacement_->bytes;
  return total + condemned_bytes();
}

std::uint64_t StreamLog::distance(Position from, Position to) const {
  const SequenceRange range{std::max(epochs_.sequence_of(from, next_), oldest_sequence()),
                            epochs_.sequence_of(to, next_)};
  return range.empty() ? 0 : range.count() - missing_in(range);
}

void StreamLog::set_passed(Position passed) { passed_ = epochs_.sequence_of(passed, next_); }

ReadOutcome StreamLog::gone(std::uint64_t from, std::uint64_t to) const {
  return {ReadStatus::gone, nullptr, epochs_.at(to), to - from};
}

ReadOutcome StreamLog::read(Position from) {
  const std::uint64_t sequence = epochs_.sequence_of(from, next_);
  if (sequence >= next_) return {ReadStatus::at_end, nullptr, end(), 0};
  if (sequence < oldest_sequence()) return gone(sequence, oldest_sequence());
  for (const SequenceRange& hole : missing_) {
    if (hole.first <= sequence && sequence < hole.end) return gone(sequence, hole.end);
  }
  if (!tail_.empty() && sequence >= tail_.first()) return read_memory(sequence);
  return {ReadStatus::on_disk, nullptr, from, 0};
}

ReadOutcome StreamLog::read_memory(std::uint64_t sequence) {
  for (const auto& batch : decoded_) {
    if (batch->first != sequence) continue;
    return {ReadStatus::ready, batch, batch->end(), 0};
  }
  auto batch = decode_memory(sequence);
  if (!batch) return {ReadStatus::on_disk, nullptr, epochs_.at(sequence), 0};
  decoded_.push_back(batch);
  if (decoded_.size() > kDecodedBatchesKept) decoded_.pop_front();
  return {ReadStatus::ready, batch, batch->end(), 0};
}

std::shared_ptr<const RecordBatch> StreamLog::decode_memory(std::uint64_t sequence) {
  std::size_t index = tail_.find(sequence);
  if (index == tail_.size()) return nullptr;
  auto batch = std::make_shared<RecordBatch>();
  const MemoryFrame& first = tail_[index];
  if (decoder_.decode(stream_, first.header, first.body_span(), *first.tags, *batch) != DecodeStatus::ok)
    return nullptr;
  for (++index; index < tail_.size(); ++index) {
    const MemoryFrame& next = tail_[index];
    if (next.boot_id != first.boot_id || !same_moment(tail_[index - 1].header, next.header)) break;
    if (batch->size() + next.header.count > kBatchRecordsMax) break;
    if (decoder_.append(next.header, next.body_span(), *next.tags, *batch) != DecodeStatus::ok) return nullptr;
  }
  trim_front(*batch, sequence);
  batch->boot_id = first.boot_id;
  return batch;
}

LogSnapshot StreamLog::snapshot() const {
  LogSnapshot snapshot;
  snapshot.log_id = shared_.log_id;
  snapshot.stream = stream_;
  snapshot.directory = directory_;
  snapshot.missing = missing_;
  snapshot.epochs = epochs_;
  snapshot.end = next_;
  for (const Stored& segment : segments_) {
    snapshot.segments.push_back({segment.number, segment.content.first, segment.content.end, segment.content.used_bytes,
                                 segment.footer_at, segment.content.sections, segment.content.wall_to, segment.dense});
  }
  return snapshot;
}

}  // namespace tidegate::buffer
