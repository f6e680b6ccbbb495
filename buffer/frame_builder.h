#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "buffer/frame.h"
#include "buffer/readings_codec.h"
#include "buffer/segment_format.h"
#include "buffer/tag_dictionary.h"

namespace tidegate::buffer {

/// Records of one stream: one of the two is empty.
struct Records {
  std::span<const Reading> readings;
  std::span<const std::string> documents;

  std::size_t size() const { return readings.size() + documents.size(); }
  Records from(std::size_t index) const {
    return {readings.empty() ? readings : readings.subspan(index),
            documents.empty() ? documents : documents.subspan(index)};
  }
};

/// What the frames of one append have in common.
struct FrameRun {
  Records records;
  std::uint64_t first = 0;
  std::uint32_t epoch = 0;
  FrameTimes times;
  BootId boot_id{};                  // of the start of the machine that `times` counts from
  std::span<const QueueMark> marks;  // stored in the frame with the last record
};

/// The part of a segment that is free.
struct FramePlace {
  std::uint32_t seed = 0;
  std::uint64_t offset = 0;
  std::uint64_t limit = 0;
  std::size_t sections_left = 0;
};

struct BuiltFrame {
  FrameHeader header;
  std::uint64_t offset = 0;  // in the segment
  std::size_t at = 0;        // in bytes()
  BootId boot_id{};
  std::shared_ptr<const std::vector<TagId>> tags;
};

/// Turns records into frames, ready to be written at one place. Knows the tag dictionary of the section under way.
class FrameBuilder {
 public:
  FrameBuilder(const TagRegistry& registry, Stream stream, std::uint64_t segment_bytes);

  /// The longest body of a frame in segments of that size.
  static std::size_t body_max_of(std::uint64_t segment_bytes);

  /// The next frame begins a section: in a new segment, after a restart, and whenever built frames were not written.
  void restart_section() { restart_ = true; }
  /// Frames for as many records from the front as the place takes; returns how many. What was built before is gone.
  std::size_t build(const FrameRun& run, const FramePlace& place);

  ByteSpan bytes() const { return out_.view(); }
  const std::vector<BuiltFrame>& frames() const { return frames_; }
  ByteSpan body(const BuiltFrame& frame) const {
    return bytes().subspan(frame.at + kFrameHeaderBytes, frame.header.body_bytes);
  }
  /// Error `invalid` when one of the records is too large for a frame, or has no tag.
  Result<void> check(const Records& records) const;

 private:
  std::size_t build_one(const FrameRun& run, std::size_t done, const FramePlace& place);
  bool section_is_over(std::uint64_t offset) const;

  const TagRegistry& registry_;
  Stream stream_;
  std::size_t body_max_;
  std::uint64_t section_bytes_;
  ReadingsEncoder encoder_;
  TagDictionary dictionary_;
  bool restart_ = true;
  std::uint32_t epoch_ = 0;
  BootId boot_id_{};
  std::uint64_t section_offset_ = 0;
  std::uint64_t section_ = 0;  // sequence of its first record
  std::size_t sections_ = 0;   // begun in this build
  OutBuffer out_;
  std::vector<BuiltFrame> frames_;
};

}  // namespace tidegate::buffer
