#include "buffer/segment_rewriter.h"

#include <spdlog/fmt/fmt.h>

#include <algorithm>
#include <array>

#include "buffer/gap_record.h"
#include "buffer/segment_file.h"
#include "core/crc32c.h"

namespace tidegate::buffer {
namespace {

// What a slice reads at most when no dense frame gets full.
constexpr std::uint64_t kSliceBytesMax = 256 * 1024;
// Synced in parts, so that nobody waits long for the disk.
constexpr std::uint64_t kSyncEvery = 1024 * 1024;
// From so many frames on the rest of the segment is taken to be like its beginning.
constexpr std::uint64_t kFramesJudged = 8;

std::uint64_t to_block(std::uint64_t offset) { return (offset + kBlockBytes - 1) / kBlockBytes * kBlockBytes; }

}  // namespace

SegmentRewriter::SegmentRewriter(FileSystem& files, TagRegistry& tags, RewriteRequest request)
    : files_(files),
      registry_(tags),
      request_(std::move(request)),
      tags_(tags),
      encoder_(tags, request_.identity.stream) {}

bool SegmentRewriter::end(RewriteOutcome outcome, std::string reason) {
  outcome_ = outcome;
  reason_ = std::move(reason);
  scanner_.reset();
  source_.reset();
  file_.reset();
  if (outcome != RewriteOutcome::written) (void)files_.remove(request_.dense_path);
  return false;
}

bool SegmentRewriter::run_slice() {
  if (outcome_) return true;
  if (!source_) {
    begin();
  } else if (offset_ - synced_to_ >= kSyncEvery) {
    sync();
  } else if (!all_read_) {
    read_frames();
  } else {
    complete();
  }
  return outcome_.has_value();
}

bool SegmentRewriter::begin() {
  auto opened = files_.open(request_.path, OpenMode::read);
  if (!opened) return end(RewriteOutcome::failed, opened.error().message);
  source_ = std::move(*opened);
  std::array<std::byte, kBlockBytes> block;
  const auto head = source_->read_at(0, block);
  if (!head) return end(RewriteOutcome::failed, head.error().message);
  const ParsedHeader parsed = read_segment_header(ByteSpan(block).first(*head));
  if (parsed.state != BlockState::valid || parsed.header.identity != request_.identity) {
    return end(RewriteOutcome::damaged, "the segment header is damaged");
  }
  header_ = parsed.header;
  const std::uint64_t footer_at = header_.segment_bytes - kBlockBytes;
  const auto tail = source_->read_at(footer_at, block);
  if (!tail) return end(RewriteOutcome::failed, tail.error().message);
  auto footer = read_segment_footer(ByteSpan(block).first(*tail), request_.identity);
  if (!footer || footer->used_bytes > footer_at) return end(RewriteOutcome::damaged, "the footer is damaged");
  if (header_.dense) return end(RewriteOutcome::not_worth_it, "it is dense already");
  footer_ = std::move(*footer);
  (void)files_.remove(request_.dense_path);
  auto made = files_.open(request_.dense_path, OpenMode::create);
  if (!made) return end(RewriteOutcome::failed, made.error().message);
  file_ = std::move(*made);
  scanner_.emplace(*source_, request_.identity.seed(), kBlockBytes, footer_.used_bytes);
  next_ = request_.range.first;
  content_.first = content_.end = footer_.first;
  return true;
}

// Up to the next dense frame.
void SegmentRewriter::read_frames() {
  const std::uint64_t from = scanner_->end();
  const std::uint64_t written = offset_;
  while (offset_ == written && scanner_->end() - from < kSliceBytesMax) {
    const auto frame = scanner_->next();
    if (!frame || frame->header.first >= request_.range.end) {
      all_read_ = true;
      if (!follows(request_.range.end)) end(RewriteOutcome::damaged, fmt::format("nothing behind sequence {}", next_));
      return;
    }
    if (!take_frame(*frame)) return;
  }
}

bool SegmentRewriter::take_frame(const ScannedFrame& frame) {
  const std::string where = fmt::format("offset {}", frame.offset);
  if (!enter_section(frame)) return end(RewriteOutcome::damaged, where + ": the section's first frame is missing");
  if (!follows(frame.header.first)) return end(RewriteOutcome::damaged, where + ": records are missing before");
  BodyPrefix prefix;
  ByteReader reader(frame.body);
  if (!read_body_prefix(reader, frame.header, &prefix) || !decode(frame)) {
    return end(RewriteOutcome::damaged, where + ": the body cannot be read");
  }
  next_ = frame.header.end();
  trim_back(batch_, request_.range.end);
  // What was trimmed stands in the next segment: until that is durable the marks would promise what a power cut takes.
  if (frame.header.end() > request_.range.end) prefix.marks.clear();
  return add_batch(frame.header, prefix.marks);
}

bool SegmentRewriter::enter_section(const ScannedFrame& frame) {
  const FrameHeader& header = frame.header;
  if (!header.section_start()) return header.section == section_ && header.epoch == section_epoch_;
  section_ = header.section;
  section_epoch_ = header.epoch;
  tags_.restart();
  BodyPrefix prefix;
  ByteReader reader(frame.body);
  if (!read_body_prefix(reader, header, &prefix)) return false;
  boot_id_ = prefix.boot_id;
  return true;
}

// Whether what lies between the last frame and this sequence is known to be missing.
bool SegmentRewriter::follows(std::uint64_t first) {
  std::uint64_t at = next_;
  for (const SequenceRange& hole : request_.missing) {
    if (hole.first <= at) at = std::max(at, hole.end);
  }
  return at >= first;
}

bool SegmentRewriter::decode(const ScannedFrame& frame) {
  if (frame.header.codec == Codec::readings) {
    ByteReader reader(frame.body);
    if (!read_body_prefix(reader, frame.header, nullptr) || !tags_.take(reader)) return false;
  }
  return decoder_.decode(request_.identity.stream, frame.header, frame.body, tags_.tags(), batch_) == DecodeStatus::ok;
}

// The marks count with the last record of their frame.
bool SegmentRewriter::add_batch(const FrameHeader& header, const std::vector<QueueMark>& marks) {
  for (std::size_t done = 0; done < batch_.size();) {
    const bool goes_on = encoder_.size() == 0 || (frame_epoch_ == header.epoch && frame_boot_id_ == boot_id_ &&
                                                  frame_first_ + encoder_.size() == batch_.first + done &&
                                                  frame_marks_.size() + marks.size() <= kFrameMarksMax);
    if (!goes_on && !flush()) return false;
    if (encoder_.size() == 0) {
      frame_first_ = batch_.first + done;
      frame_epoch_ = header.epoch;
      frame_boot_id_ = boot_id_;
    }
    const std::size_t taken = encoder_.add(batch_, done);
    if (taken == 0 && !flush()) return false;
    done += taken;
  }
  take_marks(frame_marks_, marks);
  return true;
}

bool SegmentRewriter::flush() {
  if (encoder_.size() == 0) return true;
  FrameHeader header;
  header.first = frame_first_;
  header.epoch = frame_epoch_;
  out_.clear();
  out_.put_zeros(kFrameHeaderBytes);
  encoder_.finish(header, frame_boot_id_, frame_marks_, out_);
  frame_marks_.clear();
  header.body_bytes = static_cast<std::uint32_t>(out_.size() - kFrameHeaderBytes);
  const std::uint64_t behind = offset_ + header.frame_bytes();
  const bool too_long = header.body_bytes > kFrameBodyMax;
  if (too_long || !is_worth_it(to_block(behind) + kBlockBytes)) {
    return end(RewriteOutcome::not_worth_it, "it would save less than it writes");
  }
  const ByteSpan body = out_.view().subspan(kFrameHeaderBytes);
  if (!verify(header, body)) return end(RewriteOutcome::damaged, "a dense frame does not read back as it was");
  const std::uint32_t seed = request_.identity.seed();
  header.body_crc = crc32c(body, seed);
  out_.put_zeros(header.frame_bytes() - out_.size());
  write_frame_header(header, seed, out_.data());
  if (auto written = file_->write_at(offset_, out_.view()); !written) {
    return end(RewriteOutcome::failed, written.error().message);
  }
  content_.add(header, offset_);
  offset_ = behind;
  return true;
}

// Whatever the encoder did: what is written is what was read.
bool SegmentRewriter::verify(const FrameHeader& header, ByteSpan body) {
  if (check_.open(header, body, registry_) != DecodeStatus::ok) return false;
  const DenseRecords& in = encoder_.records();
  const DenseRecords& out = check_.records();
  const bool same_columns = in.moments == out.moments && in.tags == out.tags && in.states == out.states &&
                            in.times == out.times && in.kinds == out.kinds && in.size() == out.size();
  if (!same_columns) return false;
  if (in.kinds.size() > 0 &&
      !std::equal(check_.tags().begin(), check_.tags().end(), encoder_.tags().begin(), encoder_.tags().end())) {
    return false;
  }
  for (std::size_t i = 0; i < in.size(); ++i) {
    const bool is_text = in.kinds.empty() || in.kinds[i] == kText;
    if (!is_text && in.payloads[i] != out.payloads[i]) return false;
    if (is_text && !std::ranges::equal(in.text_of(i), out.text_of(i))) return false;
  }
  return true;
}

bool SegmentRewriter::is_worth_it(std::uint64_t written) const {
  if (written * 2 > request_.bytes) return false;
  const std::uint64_t read = scanner_->end() - kBlockBytes;
  if (content_.frames < kFramesJudged || read == 0) return true;
  const double whole =
      static_cast<double>(offset_) * static_cast<double>(footer_.used_bytes) / static_cast<double>(read);
  return whole * 2 <= static_cast<double>(request_.bytes) * 1.1;
}

void SegmentRewriter::complete() {
  if (encoder_.size() > 0 && !flush()) return;
  const bool complete = content_.end == std::min(next_, request_.range.end) &&
                        std::all_of(content_.missing.begin(), content_.missing.end(),
                                    [&](const SequenceRange& hole) { return without(hole, request_.missing).empty(); });
  if (content_.empty() || !complete) return static_cast<void>(end(RewriteOutcome::damaged, "it would not be complete"));
  bytes_ = to_block(offset_) + kBlockBytes;
  SegmentContent footer = content_;
  footer.end = footer_.end;
  footer.wall_from = footer_.wall_from;
  footer.wall_to = footer_.wall_to;
  footer.missing = footer_.missing;
  thin_sections(footer.sections);
  if (footer.sections.size() > kSectionsMax) {
    return static_cast<void>(end(RewriteOutcome::not_worth_it, "it has too many sections"));
  }
  content_ = std::move(footer);
  header_.segment_bytes = bytes_;
  header_.dense = true;
  header_.recycled = false;
  std::array<std::byte, kBlockBytes> block;
  write_segment_footer(request_.identity, content_, block.data());
  auto written = file_->write_at(bytes_ - kBlockBytes, block);
  write_segment_header(header_, block.data());
  if (written) written = file_->write_at(0, block);
  if (!written) return static_cast<void>(end(RewriteOutcome::failed, written.error().message));
  if (sync()) end(RewriteOutcome::written, "");
}

bool SegmentRewriter::sync() {
  synced_to_ = offset_;
  auto synced = file_->sync();
  return synced ? true : end(RewriteOutcome::failed, synced.error().message);
}

}  // namespace tidegate::buffer
