#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

#include "buffer/bytes.h"
#include "buffer/ring_log.h"
#include "core/record.h"

namespace tidegate::buffer {

inline constexpr std::size_t kBlockBytes = 4096;
inline constexpr std::size_t kFrameHeaderBytes = 64;
inline constexpr std::size_t kFrameAlignment = 8;
inline constexpr std::size_t kFrameBodyMax = 256 * 1024;
inline constexpr std::size_t kFrameRecordsMax = 4096;
inline constexpr std::uint64_t kSequenceMax = 1ULL << 62;  // no log comes there: a file that says more is wrong
inline constexpr std::uint32_t kFrameMagic = 0x52464754;   // "TGFR"

/// The dense ones are what a sealed segment is rewritten into: the records of many frames in one.
enum class Codec : std::uint8_t { readings = 1, documents = 2, dense_readings = 3, dense_documents = 4 };
inline bool is_dense(Codec codec) { return codec == Codec::dense_readings || codec == Codec::dense_documents; }

enum FrameFlags : std::uint16_t {
  kSectionStart = 1,  // decodes without any frame before it; the body begins with the boot id
};

/// Which file a frame belongs to. Every CRC is continued from seed(), so that what another log, stream or an earlier
/// life of the file left behind never passes for this segment's content.
struct SegmentIdentity {
  LogId log_id{};
  Stream stream = Stream::readings;
  std::uint64_t number = 0;

  std::uint32_t seed() const;
  bool operator==(const SegmentIdentity&) const = default;
};

/// The 64 bytes in front of every frame body (docs/ring-log-format.md).
struct FrameHeader {
  std::uint32_t body_bytes = 0;
  std::uint32_t body_crc = 0;
  std::uint64_t first = 0;
  std::uint32_t count = 0;
  std::uint32_t epoch = 0;
  FrameTimes times;  // of a dense frame: those of the first frame in it
  Codec codec = Codec::readings;
  std::uint16_t flags = 0;
  std::uint32_t wall_span_ms = 0;  // of a dense frame: how far behind times.wall its latest wall time lies, rounded up
  std::uint64_t section = 0;       // sequence of the first record of the section that the frame belongs to

  bool section_start() const { return (flags & kSectionStart) != 0; }
  std::uint64_t end() const { return first + count; }
  WallTime wall_to() const;  // the latest wall time in it, or up to 1 ms later
  std::size_t frame_bytes() const {
    return (kFrameHeaderBytes + body_bytes + kFrameAlignment - 1) / kFrameAlignment * kFrameAlignment;
  }
};

void write_frame_header(const FrameHeader& header, std::uint32_t seed, std::byte* at);

/// The header at `at` (64 bytes), if its magic, its CRC and every field in it are what a writer writes.
std::optional<FrameHeader> read_frame_header(const std::byte* at, std::uint32_t seed);

/// What a frame body begins with, before its codec's part.
struct BodyPrefix {
  BootId boot_id{};  // all zero unless the frame starts a section
  std::vector<QueueMark> marks;
};

void put_body_prefix(OutBuffer& out, const BootId* boot_id, std::span<const QueueMark> marks);
/// Bytes that put_body_prefix writes at most.
std::size_t body_prefix_bytes(std::size_t marks);
/// Leaves `reader` behind the prefix; `into` may be null. False when it is malformed.
bool read_body_prefix(ByteReader& reader, const FrameHeader& header, BodyPrefix* into);

/// Frame times have a resolution of 10 ms of the boot clock, so that small frames of the same moment are equal in them
/// and can be read as one batch, whatever the reader. The wall time is taken back by as much.
FrameTimes coarse(FrameTimes times);

/// Whether records that were taken in at the one time and at the other can be read as one batch.
bool same_moment(const FrameTimes& a, const FrameTimes& b);
/// Whether two neighbouring frames can be read as one batch.
bool same_moment(const FrameHeader& a, const FrameHeader& b);

}  // namespace tidegate::buffer
