#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "buffer/batch_decoder.h"
#include "buffer/damage_reports.h"
#include "buffer/epoch_table.h"
#include "buffer/frame_scanner.h"
#include "buffer/ring_log.h"
#include "buffer/segment_format.h"
#include "buffer/tag_dictionary.h"

namespace tidegate::buffer {

/// A segment as a reader needs to know it.
struct SegmentRef {
  std::uint64_t number = 0;
  std::uint64_t first = 0;
  std::uint64_t end = 0;
  std::uint64_t used_bytes = 0;  // behind the last frame
  std::uint64_t footer_at = 0;   // 0: none, `sections` says where sections begin
  std::vector<SectionEntry> sections;
  WallTime wall_to{};  // the latest of its frames
  bool dense = false;  // rewritten; one that is not can have been by the time it is read
};

/// One stream as it stands at one moment.
struct LogSnapshot {
  LogId log_id{};
  Stream stream = Stream::readings;
  std::string directory;  // of the stream
  std::vector<SegmentRef> segments;
  std::vector<SequenceRange> missing;
  EpochTable epochs;
  std::uint64_t end = 1;
};

/// Reads a snapshot from its files, in order and in large pieces; finds its way to any record by the sections.
class LogReader final : public DiskReader {
 public:
  /// `reports` may be null.
  LogReader(FileSystem& files, TagRegistry& tags, LogSnapshot snapshot, std::shared_ptr<DamageReports> reports);
  ~LogReader() override;

  Result<ReadOutcome> read(Position from) override;
  Result<std::optional<Position>> find(const ReadPlace& place) override;

 private:
  struct Place;  // in the segment that is open

  Result<std::optional<Position>> find_time(WallTime time);
  Result<std::optional<std::uint64_t>> first_taken_in_at(WallTime time, const SegmentRef& segment);
  Result<bool> move_to(std::uint64_t sequence, const SegmentRef& segment);
  Result<bool> open(const SegmentRef& segment);
  void seek(std::uint64_t sequence);
  const ScannedFrame* peek();
  void enter_section(const ScannedFrame& frame);
  void consume();
  bool was_recycled() const;
  bool was_replaced() const;
  ReadOutcome read_in(const SegmentRef& segment, std::uint64_t sequence);
  ReadOutcome take_batch(std::uint64_t sequence);
  ReadOutcome take_dense_batch(std::uint64_t sequence);
  ReadOutcome checked(std::shared_ptr<RecordBatch> batch, std::uint64_t sequence, std::uint64_t frame_end);
  void learn_layout();
  void join_frames(FrameHeader last, RecordBatch& batch);
  DecodeStatus decode_frame(const ScannedFrame& frame, RecordBatch& batch);
  void learn_tags_ahead();
  ReadOutcome gone(std::uint64_t from, std::uint64_t to) const;
  ReadOutcome damaged(std::uint64_t from, std::uint64_t to, const std::string& why);

  FileSystem& files_;
  LogSnapshot snapshot_;
  std::shared_ptr<DamageReports> reports_;
  SectionTags tags_;
  BatchDecoder decoder_;
  std::unique_ptr<Place> place_;
};

}  // namespace tidegate::buffer
