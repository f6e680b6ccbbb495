#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "buffer/bytes.h"
#include "buffer/frame.h"

namespace tidegate::buffer {

inline constexpr std::uint32_t kFormatVersion = 1;
inline constexpr std::uint64_t kSegmentBytesMin = 64 * 1024;
inline constexpr std::size_t kHeaderMarksMax = 240;
inline constexpr std::size_t kSectionsMax = 120;
inline constexpr std::size_t kFooterMissingMax = 32;

/// Sequences from `first` up to, not including, `end`.
struct SequenceRange {
  std::uint64_t first = 0;
  std::uint64_t end = 0;
  std::uint64_t count() const { return end - first; }
  bool empty() const { return first >= end; }
  bool operator==(const SequenceRange&) const = default;
};

/// Where a section begins: a frame that decodes without any before it.
struct SectionEntry {
  std::uint32_t offset = 0;
  std::uint32_t epoch = 0;
  std::uint64_t first = 0;
  WallTime wall{};
};

/// What is known of a segment's content.
struct SegmentContent {
  std::uint64_t first = 0;  // sequence of the first record; the one that comes first while there is none
  std::uint64_t end = 0;    // behind the last record
  std::uint64_t frames = 0;
  std::uint64_t used_bytes = 0;  // behind the last frame
  std::uint32_t last_epoch = 0;
  WallTime wall_from{};
  WallTime wall_to{};
  std::vector<SectionEntry> sections;
  std::vector<SequenceRange> missing;  // inside [first, end), rising

  bool empty() const { return frames == 0; }
  std::uint64_t records() const;
  /// Takes the next frame in.
  void add(const FrameHeader& header, std::uint64_t offset);
};

/// The first block of a segment.
struct SegmentHeader {
  SegmentIdentity identity;
  std::uint64_t first = 0;
  std::uint32_t epoch = 0;
  std::uint64_t segment_bytes = 0;
  BootId boot_id{};
  FrameTimes times;
  bool dense = false;     // the file was rewritten in dense frames, and has the size that it needs
  bool recycled = false;  // behind the frames may lie those of an earlier segment
  // Not 0: [first, rewrites_to) is a copy of what stands in earlier segments, which could not be synced. It counts when
  // it is complete.
  std::uint64_t rewrites_to = 0;
  std::vector<QueueMark> marks;
};

/// Leaves out sections that a reader can do without, so that the others fit into a footer: it then begins further
/// before the place that it looks for. Those that begin an epoch stay.
void thin_sections(std::vector<SectionEntry>& sections);

/// kBlockBytes bytes.
void write_segment_header(const SegmentHeader& header, std::byte* at);

enum class BlockState : std::uint8_t {
  valid,
  blank,  // zeros: prepared, never used
  newer,  // of a later format version than this program reads
  invalid,
};

struct ParsedHeader {
  BlockState state = BlockState::invalid;
  std::uint32_t version = 0;
  SegmentHeader header;  // when valid
};
ParsedHeader read_segment_header(ByteSpan block);

/// The last block of a sealed segment (kBlockBytes bytes). Only for content with at most kSectionsMax sections and
/// kFooterMissingMax missing ranges.
void write_segment_footer(const SegmentIdentity& identity, const SegmentContent& content, std::byte* at);
std::optional<SegmentContent> read_segment_footer(ByteSpan block, const SegmentIdentity& identity);

/// "00000000000000000042.seg" and back.
std::string segment_name(std::uint64_t number);
/// "00000000000000000042.dense": a segment that is being rewritten, and then what it was before.
std::string dense_name(std::uint64_t number);
std::optional<std::uint64_t> parse_segment_name(std::string_view name);
std::optional<std::uint64_t> parse_dense_name(std::string_view name);

}  // namespace tidegate::buffer
