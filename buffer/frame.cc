#include "buffer/frame.h"

#include "core/crc32c.h"

namespace tidegate::buffer {
namespace {

constexpr std::size_t kCrcAt = 4;
constexpr std::size_t kCoveredFrom = 8;
constexpr auto kResolution = std::chrono::milliseconds(10);
constexpr std::uint64_t kMarksMax = 1024;

std::uint64_t nanoseconds(Duration duration) { return static_cast<std::uint64_t>(duration.count()); }
Duration duration_of(std::uint64_t nanoseconds) { return Duration(static_cast<std::int64_t>(nanoseconds)); }

std::uint32_t header_crc(const std::byte* at, std::uint32_t seed) {
  return crc32c({at + kCoveredFrom, kFrameHeaderBytes - kCoveredFrom}, seed);
}

bool is_plausible(const FrameHeader& header, std::uint8_t codec, std::uint8_t clock) {
  const bool dense = is_dense(header.codec);
  return header.body_bytes <= kFrameBodyMax && header.count > 0 && header.count <= kFrameRecordsMax &&
         header.epoch > 0 && header.first > 0 && header.first <= kSequenceMax && codec != 0 && header.section > 0 &&
         header.section <= header.first && header.section_start() == (header.section == header.first) &&
         clock <= static_cast<std::uint8_t>(ClockQuality::synced) && (dense || header.wall_span_ms == 0);
}

}  // namespace

std::uint32_t SegmentIdentity::seed() const {
  std::byte bytes[sizeof(LogId) + 9];
  std::memcpy(bytes, log_id.data(), log_id.size());
  store_le(bytes + sizeof(LogId), number);
  bytes[sizeof(LogId) + 8] = static_cast<std::byte>(stream);
  return crc32c(bytes);
}

WallTime FrameHeader::wall_to() const {
  // Unsigned, because times that were read from a file can lie anywhere.
  const Duration span = std::chrono::milliseconds(wall_span_ms);
  return WallTime(duration_of(nanoseconds(times.wall.time_since_epoch()) + nanoseconds(span)));
}

void write_frame_header(const FrameHeader& header, std::uint32_t seed, std::byte* at) {
  store_le(at, kFrameMagic);
  store_le(at + 8, header.body_bytes);
  store_le(at + 12, header.body_crc);
  store_le(at + 16, header.first);
  store_le(at + 24, header.count);
  store_le(at + 28, header.epoch);
  store_le(at + 32, nanoseconds(header.times.wall.time_since_epoch()));
  store_le(at + 40, nanoseconds(header.times.boot.time_since_epoch()));
  at[48] = static_cast<std::byte>(header.codec);
  at[49] = static_cast<std::byte>(header.times.quality);
  store_le(at + 50, header.flags);
  store_le(at + 52, header.wall_span_ms);
  store_le(at + 56, header.section);
  store_le(at + kCrcAt, header_crc(at, seed));
}

std::optional<FrameHeader> read_frame_header(const std::byte* at, std::uint32_t seed) {
  if (load_le<std::uint32_t>(at) != kFrameMagic) return std::nullopt;
  if (load_le<std::uint32_t>(at + kCrcAt) != header_crc(at, seed)) return std::nullopt;
  FrameHeader header;
  header.body_bytes = load_le<std::uint32_t>(at + 8);
  header.body_crc = load_le<std::uint32_t>(at + 12);
  header.first = load_le<std::uint64_t>(at + 16);
  header.count = load_le<std::uint32_t>(at + 24);
  header.epoch = load_le<std::uint32_t>(at + 28);
  header.times.wall = WallTime(duration_of(load_le<std::uint64_t>(at + 32)));
  header.times.boot = BootTime(duration_of(load_le<std::uint64_t>(at + 40)));
  const auto codec = static_cast<std::uint8_t>(at[48]);
  const auto clock = static_cast<std::uint8_t>(at[49]);
  header.codec = static_cast<Codec>(codec);
  header.times.quality = static_cast<ClockQuality>(clock);
  header.flags = load_le<std::uint16_t>(at + 50);
  header.wall_span_ms = load_le<std::uint32_t>(at + 52);
  header.section = load_le<std::uint64_t>(at + 56);
  if (!is_plausible(header, codec, clock)) return std::nullopt;
  return header;
}

void put_body_prefix(OutBuffer& out, const BootId* boot_id, std::span<const QueueMark> marks) {
  if (boot_id != nullptr) out.put_bytes(std::as_bytes(std::span(*boot_id)));
  out.put_varint(marks.size());
  for (const QueueMark& mark : marks) {
    std::byte id[8];
    store_le(id, mark.queue_id);
    out.put_bytes(id);
    out.put_varint(mark.position);
  }
}

std::size_t body_prefix_bytes(std::size_t marks) {
  return sizeof(BootId) + kVarintBytesMax + marks * (8 + kVarintBytesMax);
}

bool read_body_prefix(ByteReader& reader, const FrameHeader& header, BodyPrefix* into) {
  if (header.section_start()) {
    const ByteSpan id = reader.bytes(sizeof(BootId));
    if (into != nullptr && !id.empty()) std::memcpy(into->boot_id.data(), id.data(), id.size());
  }
  const std::uint64_t count = reader.varint();
  if (count > kMarksMax) reader.fail();
  for (std::uint64_t i = 0; i < count && reader.ok(); ++i) {
    const auto id = reader.fixed<std::uint64_t>();
    const std::uint64_t position = reader.varint();
    if (into != nullptr && reader.ok()) into->marks.push_back({id, position});
  }
  return reader.ok();
}

FrameTimes coarse(FrameTimes times) {
  const Duration rest = times.boot.time_since_epoch() % kResolution;
  times.boot -= rest;
  times.wall -= rest;
  return times;
}

bool same_moment(const FrameTimes& a, const FrameTimes& b) {
  // Unsigned, because times that were read from a file can lie anywhere.
  const std::uint64_t tolerance = nanoseconds(kResolution);
  const std::uint64_t wall_apart =
      nanoseconds(b.wall.time_since_epoch()) - nanoseconds(a.wall.time_since_epoch()) + tolerance;
  return a.boot == b.boot && a.quality == b.quality && wall_apart < 2 * tolerance;
}

bool same_moment(const FrameHeader& a, const FrameHeader& b) {
  return a.epoch == b.epoch && b.first == a.end() && a.codec == b.codec && same_moment(a.times, b.times);
}

}  // namespace tidegate::buffer
