#include "buffer/disk_reader.h"

#include <spdlog/fmt/fmt.h>

#include <algorithm>
#include <array>

#include "buffer/dense_codec.h"

namespace tidegate::buffer {
namespace {

// Of the boot that the frame begins a section of; all zero where it begins none.
BootId boot_id_of(const ScannedFrame& frame) {
  BodyPrefix prefix;
  ByteReader reader(frame.body);
  return read_body_prefix(reader, frame.header, &prefix) ? prefix.boot_id : BootId{};
}

bool takes_dictionary(const ScannedFrame& frame, SectionTags& tags) {
  if (frame.header.codec != Codec::readings) return true;
  ByteReader reader(frame.body);
  return read_body_prefix(reader, frame.header, nullptr) && tags.take(reader);
}

std::optional<SegmentHeader> read_header(const File& file) {
  std::array<std::byte, kBlockBytes> block;
  const auto count = file.read_at(0, block);
  if (!count || *count < block.size()) return std::nullopt;
  ParsedHeader parsed = read_segment_header(block);
  return parsed.state == BlockState::valid ? std::optional(std::move(parsed.header)) : std::nullopt;
}

}  // namespace

struct LogReader::Place {
  SegmentRef segment;
  std::string path;
  std::unique_ptr<File> file;
  bool is_rewritten = false;  // the file
  std::vector<SectionEntry> sections;
  std::unique_ptr<FrameScanner> scanner;
  std::optional<ScannedFrame> frame;  // read, not yet consumed
  std::uint64_t next = 0;             // sequence behind the last consumed frame
  std::uint64_t section = 0;          // that the known tags belong to, with its epoch
  std::uint32_t section_epoch = 0;
  BootId boot_id{};                     // of the section; all zero when the frame that says it is lost
  std::string problem;                  // what lay before `frame`
  std::unique_ptr<DenseDecoder> dense;  // holds `frame`, once some of it was read
  bool at_end = false;
};

LogReader::LogReader(FileSystem& files, TagRegistry& tags, LogSnapshot snapshot, std::shared_ptr<DamageReports> reports)
    : files_(files), snapshot_(std::move(snapshot)), reports_(std::move(reports)), tags_(tags) {}

LogReader::~LogReader() = default;

Result<ReadOutcome> LogReader::read(Position from) {
  const std::uint64_t sequence = snapshot_.epochs.sequence_of(from, snapshot_.end);
  if (sequence >= snapshot_.end) return ReadOutcome{ReadStatus::at_end, nullptr, from, 0};
  const auto missing =
      std::find_if(snapshot_.missing.begin(), snapshot_.missing.end(),
                   [&](const SequenceRange& range) { return range.first <= sequence && sequence < range.end; });
  if (missing != snapshot_.missing.end()) return gone(sequence, missing->end);
  const auto segment = std::partition_point(snapshot_.segments.begin(), snapshot_.segments.end(),
                                            [&](const SegmentRef& ref) { return ref.end <= sequence; });
  if (segment == snapshot_.segments.end()) return gone(sequence, snapshot_.end);
  if (sequence < segment->first) return gone(sequence, segment->first);
  // A file that is used again while it is read may have been rewritten: then its records are in another of that name.
  for (int attempt = 0; attempt < 2; ++attempt) {
    const auto there = move_to(sequence, *segment);
    if (!there) return tl::unexpected(there.error());
    if (!*there) break;
    auto outcome = read_in(*segment, sequence);
    if (place_) return outcome;
  }
  return gone(sequence, segment->end);
}

// False when the segment is not there any more.
Result<bool> LogReader::move_to(std::uint64_t sequence, const SegmentRef& segment) {
  const bool same = place_ && place_->segment.number == segment.number;
  if (!same) {
    auto opened = open(segment);
    if (!opened || !*opened) return opened;
  }
  const bool section_ahead =
      same && std::any_of(place_->sections.begin(), place_->sections.end(),
                          [&](const auto& one) { return place_->next < one.first && one.first <= sequence; });
  if (!same || sequence < place_->next || section_ahead) seek(sequence);
  return true;
}

Result<bool> LogReader::open(const SegmentRef& segment) {
  place_ = std::make_unique<Place>();
  place_->segment = segment;
  place_->path = snapshot_.directory + "/" + segment_name(segment.number);
  auto file = files_.open(place_->path, OpenMode::read);
  if (file) place_->file = std::move(*file);
  const bool may_pass = !file && file.error().code != ErrorCode::not_found && file.error().code != ErrorCode::invalid;
  if (!file || was_recycled()) {
    place_.reset();
    if (may_pass) return tl::unexpected(file.error());
    return false;
  }
  learn_layout();
  return true;
}

// Where frames are. Of a file that was rewritten since the snapshot was made only itself knows.
void LogReader::learn_layout() {
  SegmentRef& segment = place_->segment;
  const auto header = read_header(*place_->file);
  place_->is_rewritten = segment.dense || (header && header->dense);
  if (place_->is_rewritten && !segment.dense) {
    segment.footer_at = segment.used_bytes = header->segment_bytes - kBlockBytes;
    segment.sections.clear();
  }
  place_->sections = segment.sections;
  if (segment.footer_at == 0) return;
  std::array<std::byte, kBlockBytes> block;
  const auto count = place_->file->read_at(segment.footer_at, block);
  if (!count || *count < block.size()) return;
  const SegmentIdentity identity{snapshot_.log_id, snapshot_.stream, segment.number};
  if (auto content = read_segment_footer(block, identity)) place_->sections = std::move(content->sections);
}

bool LogReader::was_recycled() const {
  const auto header = read_header(*place_->file);
  return header && header->identity.number != place_->segment.number;
}

// The file was rewritten since it was opened, or is used again.
bool LogReader::was_replaced() const {
  if (was_recycled()) return true;
  const auto file = place_->is_rewritten ? nullptr : files_.open(place_->path, OpenMode::read).value_or(nullptr);
  const auto header = file ? read_header(*file) : std::nullopt;
  return header && header->dense;
}

// Begins at the section that holds the sequence; without a list of sections, at the segment's first frame.
void LogReader::seek(std::uint64_t sequence) {
  std::uint64_t offset = kBlockBytes;
  place_->next = place_->segment.first;
  for (const SectionEntry& section : place_->sections) {
    if (section.first > sequence) break;
    offset = section.offset;
    place_->next = section.first;
  }
  const SegmentIdentity identity{snapshot_.log_id, snapshot_.stream, place_->segment.number};
  place_->scanner = std::make_unique<FrameScanner>(*place_->file, identity.seed(), offset, place_->segment.used_bytes);
  place_->frame.reset();
  place_->dense.reset();
  place_->at_end = false;
  place_->section = 0;
  tags_.restart();
}

// The first record of the segment in a frame of that time or later. Leaves no segment open.
Result<std::optional<std::uint64_t>> LogReader::first_taken_in_at(WallTime time, const SegmentRef& segment) {
  const SegmentIdentity identity{snapshot_.log_id, snapshot_.stream, segment.number};
  std::optional<std::uint64_t> found;
  bool again = true;
  for (int attempt = 0; attempt < 2 && again; ++attempt) {
    auto opened = open(segment);
    if (!opened) return tl::unexpected(opened.error());
    if (!*opened) break;
    FrameScanner scanner(*place_->file, identity.seed(), kBlockBytes, place_->segment.used_bytes);
    while (!found) {
      const auto frame = scanner.next();
      if (!frame) break;
      if (is_dense(frame->header.codec)) {
        if (frame->header.wall_to() >= time) found = DenseDecoder::first_taken_in_at(time, frame->header, frame->body);
      } else if (frame->header.times.wall >= time) {
        found = frame->header.first;
      }
    }
    again = was_replaced();
  }
  place_.reset();
  return found;
}

const ScannedFrame* LogReader::peek() {
  if (place_->frame) return &*place_->frame;
  if (place_->at_end) return nullptr;
  place_->frame = place_->scanner->next();
  place_->problem.clear();
  if (const auto& problem = place_->scanner->problem()) {
    place_->problem = fmt::format("offset {}: {}", problem->offset, problem->text);
  }
  if (!place_->frame) {
    place_->at_end = true;
    return nullptr;
  }
  enter_section(*place_->frame);
  takes_dictionary(*place_->frame, tags_);
  return &*place_->frame;
}

// By what the frame says, not by its being the first: that one may be lost, and what the section before has named must
// not name the tags of this one.
void LogReader::enter_section(const ScannedFrame& frame) {
  const FrameHeader& header = frame.header;
  if (header.section == place_->section && header.epoch == place_->section_epoch) return;
  place_->section = header.section;
  place_->section_epoch = header.epoch;
  place_->boot_id = boot_id_of(frame);
  tags_.restart();
}

void LogReader::consume() {
  place_->next = place_->frame->header.end();
  place_->frame.reset();
  place_->dense.reset();
}

ReadOutcome LogReader::read_in(const SegmentRef& segment, std::uint64_t sequence) {
  const ScannedFrame* frame = peek();
  while (frame != nullptr && frame->header.end() <= sequence) {
    consume();
    frame = peek();
  }
  if (frame == nullptr) return damaged(sequence, segment.end, place_->problem);
  if (frame->header.first > sequence) {
    return damaged(sequence, frame->header.first, place_->problem);
  }
  return is_dense(frame->header.codec) ? take_dense_batch(sequence) : take_batch(sequence);
}

ReadOutcome LogReader::take_batch(std::uint64_t sequence) {
  auto batch = std::make_shared<RecordBatch>();
  FrameHeader last = place_->frame->header;
  const DecodeStatus status = decode_frame(*place_->frame, *batch);
  if (status != DecodeStatus::ok) {
    const std::string why =
        fmt::format("offset {}: {}", place_->frame->offset,
                    status == DecodeStatus::unknown_tag ? "the frames that name its tags are damaged"
                                                        : "the body is not what its codec writes");
    return damaged(sequence, last.end(), why);
  }
  batch->boot_id = place_->boot_id;
  consume();
  join_frames(last, *batch);
  trim_front(*batch, sequence);
  return checked(std::move(batch), sequence, last.end());
}

ReadOutcome LogReader::take_dense_batch(std::uint64_t sequence) {
  const FrameHeader header = place_->frame->header;
  const bool readings = snapshot_.stream == Stream::readings;
  if (!place_->dense) {
    place_->dense = std::make_unique<DenseDecoder>();
    DecodeStatus status = DecodeStatus::malformed;
    const bool fits = header.codec == (readings ? Codec::dense_readings : Codec::dense_documents);
    if (fits) status = place_->dense->open(header, place_->frame->body, tags_.registry());
    if (status != DecodeStatus::ok) {
      place_->dense.reset();
      return damaged(sequence, header.end(),
                     fmt::format("offset {}: the body is not what its codec writes", place_->frame->offset));
    }
  }
  auto batch = std::make_shared<RecordBatch>();
  batch->stream = snapshot_.stream;
  place_->dense->read(sequence, *batch);
  place_->next = batch->end().sequence;
  if (place_->next >= header.end()) consume();
  return checked(std::move(batch), sequence, header.end());
}

// Whatever a file says of epochs, reading goes on.
ReadOutcome LogReader::checked(std::shared_ptr<RecordBatch> batch, std::uint64_t sequence, std::uint64_t frame_end) {
  trim_back(*batch, place_->segment.end);  // what lies behind stands again in the next segment
  const Position behind = batch->end();
  if (batch->size() == 0 || snapshot_.epochs.sequence_of(behind, snapshot_.end) <= sequence) {
    return damaged(sequence, std::max(frame_end, sequence + 1), "the frame's epoch is not the one of its records");
  }
  return {ReadStatus::ready, std::move(batch), behind, 0};
}

void LogReader::join_frames(FrameHeader last, RecordBatch& batch) {
  for (const ScannedFrame* next = peek(); next != nullptr && same_moment(last, next->header); next = peek()) {
    if (batch.size() + next->header.count > kBatchRecordsMax || next->header.first >= place_->segment.end) return;
    if (place_->boot_id != batch.boot_id) return;
    last = next->header;
    if (decoder_.append(last, next->body, tags_.tags(), batch) != DecodeStatus::ok) {
      trim_back(batch, last.first);
      return;
    }
    consume();
  }
}

DecodeStatus LogReader::decode_frame(const ScannedFrame& frame, RecordBatch& batch) {
  DecodeStatus status = decoder_.decode(snapshot_.stream, frame.header, frame.body, tags_.tags(), batch);
  if (status != DecodeStatus::unknown_tag) return status;
  learn_tags_ahead();
  return decoder_.decode(snapshot_.stream, frame.header, frame.body, tags_.tags(), batch);
}

// The frame that first named a tag is damaged; its path stands again in a later frame of the section.
void LogReader::learn_tags_ahead() {
  const SegmentIdentity identity{snapshot_.log_id, snapshot_.stream, place_->segment.number};
  const std::uint64_t behind = place_->frame->offset + place_->frame->header.frame_bytes();
  FrameScanner ahead(*place_->file, identity.seed(), behind, place_->segment.used_bytes);
  while (const auto frame = ahead.next()) {
    if (frame->header.section != place_->frame->header.section || frame->header.epoch != place_->frame->header.epoch) {
      break;
    }
    takes_dictionary(*frame, tags_);
  }
}

ReadOutcome LogReader::gone(std::uint64_t from, std::uint64_t to) const {
  return {ReadStatus::gone, nullptr, snapshot_.epochs.at(to), to - from};
}

ReadOutcome LogReader::damaged(std::uint64_t from, std::uint64_t to, const std::string& why) {
  const std::string path = place_->path;
  const std::uint64_t end = place_->segment.end;
  if (was_replaced()) {
    place_.reset();
    return gone(from, end);
  }
  to = std::min(to, end);  // a frame may claim more, and what lies behind stands in the next segment
  if (reports_) {
    reports_->add({snapshot_.stream, {from, to}, path + ": " + (why.empty() ? "no frame where one should be" : why)});
  }
  snapshot_.missing.insert(
      std::upper_bound(snapshot_.missing.begin(), snapshot_.missing.end(), from,
                       [](std::uint64_t value, const SequenceRange& range) { return value < range.first; }),
      {from, to});
  return gone(from, to);
}

}  // namespace tidegate::buffer
