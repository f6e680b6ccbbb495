#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "buffer/batch_decoder.h"
#include "buffer/dense_codec.h"
#include "buffer/frame_scanner.h"
#include "buffer/ring_log.h"
#include "buffer/segment_format.h"
#include "buffer/tag_dictionary.h"

namespace tidegate::buffer {

/// A sealed segment that is durable, as the log knows it.
struct RewriteRequest {
  SegmentIdentity identity;
  std::string path;
  std::string dense_path;
  std::uint64_t bytes = 0;  // of the file
  SequenceRange range;
  std::vector<SequenceRange> missing;  // in it, rising
};

enum class RewriteOutcome : std::uint8_t {
  written,       // and synced under dense_path
  not_worth_it,  // it would save less than it writes
  damaged,       // not all that should be in the segment can be read
  failed,        // the disk
};

/// Writes the records of one sealed segment into a file of dense frames, a frame a slice, and checks that every frame
/// reads back as it was. Nothing of the segment is changed; the log exchanges the files afterwards. A segment that is
/// damaged stays as it is. Memory: about 1 MiB. For the storage thread.
class SegmentRewriter final : public RewriteJob {
 public:
  SegmentRewriter(FileSystem& files, TagRegistry& tags, RewriteRequest request);

  bool run_slice() override;

  const RewriteRequest& request() const { return request_; }
  /// The rest is meaningful once run_slice() has returned true.
  RewriteOutcome outcome() const { return *outcome_; }
  const std::string& reason() const { return reason_; }
  std::uint64_t bytes() const { return bytes_; }  // of the new file, of which this was written
  const SegmentContent& content() const { return content_; }

 private:
  bool begin();
  void read_frames();
  bool take_frame(const ScannedFrame& frame);
  bool enter_section(const ScannedFrame& frame);
  bool follows(std::uint64_t first);
  bool decode(const ScannedFrame& frame);
  bool add_batch(const FrameHeader& header, const std::vector<QueueMark>& marks);
  bool flush();
  bool verify(const FrameHeader& header, ByteSpan body);
  bool is_worth_it(std::uint64_t written) const;
  void complete();
  bool sync();
  bool end(RewriteOutcome outcome, std::string reason);

  FileSystem& files_;
  TagRegistry& registry_;
  RewriteRequest request_;
  std::optional<RewriteOutcome> outcome_;
  std::string reason_;

  std::unique_ptr<File> source_;
  std::optional<FrameScanner> scanner_;
  SegmentHeader header_;
  SegmentContent footer_;  // of the source
  SectionTags tags_;
  BatchDecoder decoder_;
  RecordBatch batch_;
  std::uint64_t section_ = 0;
  std::uint32_t section_epoch_ = 0;
  BootId boot_id_{};
  std::uint64_t next_ = 0;  // sequence behind what was read

  DenseEncoder encoder_;
  DenseDecoder check_;
  std::uint64_t frame_first_ = 0;  // of the dense frame under way
  std::uint32_t frame_epoch_ = 0;
  BootId frame_boot_id_{};
  std::vector<QueueMark> frame_marks_;
  OutBuffer out_;

  std::unique_ptr<File> file_;
  SegmentContent content_;
  std::uint64_t offset_ = kBlockBytes;
  std::uint64_t synced_to_ = 0;
  std::uint64_t bytes_ = 0;
  bool all_read_ = false;
};

}  // namespace tidegate::buffer
