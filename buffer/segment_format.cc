#include "buffer/segment_format.h"

#include <algorithm>

#include "core/crc32c.h"
#include "core/parse_whole.h"

namespace tidegate::buffer {
namespace {

constexpr std::uint64_t kHeaderMagic = 0x0a47455345444954;  // "TIDESEG\n"
constexpr std::uint64_t kFooterMagic = 0x0a444e4545444954;  // "TIDEEND\n"
constexpr std::size_t kCrcAt = kBlockBytes - 4;
constexpr std::size_t kMarksAt = 104;
constexpr std::size_t kMarkBytes = 16;
constexpr std::size_t kSectionsAt = 112;
constexpr std::size_t kSectionBytes = 24;
constexpr std::size_t kMissingAt = kSectionsAt + kSectionsMax * kSectionBytes;
constexpr std::size_t kMissingBytes = 16;
constexpr std::size_t kNameDigits = 20;
constexpr std::uint64_t kDenseBytesMin = 3 * kBlockBytes;
constexpr std::string_view kSegmentSuffix = ".seg";
constexpr std::string_view kDenseSuffix = ".dense";

static_assert(kMarksAt + kHeaderMarksMax * kMarkBytes <= kCrcAt);
static_assert(kMissingAt + kFooterMissingMax * kMissingBytes <= kCrcAt);

void store_time(std::byte* at, Duration since) { store_le(at, static_cast<std::uint64_t>(since.count())); }
Duration load_time(const std::byte* at) { return Duration(static_cast<std::int64_t>(load_le<std::uint64_t>(at))); }

void store_crc(std::byte* block, std::uint32_t seed) { store_le(block + kCrcAt, crc32c({block, kCrcAt}, seed)); }
bool crc_holds(ByteSpan block, std::uint32_t seed) {
  return load_le<std::uint32_t>(block.data() + kCrcAt) == crc32c(block.first(kCrcAt), seed);
}

std::string digits_of(std::uint64_t number) {
  std::string digits = std::to_string(number);
  return std::string(kNameDigits - digits.size(), '0') + digits;
}

std::optional<std::uint64_t> parse_name(std::string_view name, std::string_view suffix) {
  if (name.size() != kNameDigits + suffix.size() || !name.ends_with(suffix)) return std::nullopt;
  return parse_whole<std::uint64_t>(name.substr(0, kNameDigits));
}

bool is_blank(ByteSpan block) {
  return std::all_of(block.begin(), block.end(), [](std::byte b) { return b == std::byte{0}; });
}

bool load_header(const std::byte* at, SegmentHeader& header) {
  const auto stream = static_cast<std::uint8_t>(at[12]);
  const auto clock = static_cast<std::uint8_t>(at[14]);
  const auto marks = load_le<std::uint32_t>(at + 88);
  if (stream >= kStreamCount || clock > static_cast<std::uint8_t>(ClockQuality::synced) || marks > kHeaderMarksMax) {
    return false;
  }
  header.identity.stream = static_cast<Stream>(stream);
  header.recycled = at[13] != std::byte{0};
  header.dense = at[15] != std::byte{0};
  header.times.quality = static_cast<ClockQuality>(clock);
  std::memcpy(header.identity.log_id.data(), at + 16, sizeof(LogId));
  header.identity.number = load_le<std::uint64_t>(at + 32);
  header.first = load_le<std::uint64_t>(at + 40);
  header.epoch = load_le<std::uint32_t>(at + 48);
  header.segment_bytes = load_le<std::uint32_t>(at + 52);
  std::memcpy(header.boot_id.data(), at + 56, sizeof(BootId));
  header.times.wall = WallTime(load_time(at + 72));
  header.times.boot = BootTime(load_time(at + 80));
  header.rewrites_to = load_le<std::uint64_t>(at + 96);
  for (std::size_t i = 0; i < marks; ++i) {
    const std::byte* mark = at + kMarksAt + i * kMarkBytes;
    header.marks.push_back({load_le<std::uint64_t>(mark), load_le<std::uint64_t>(mark + 8)});
  }
  return header.first > 0 && header.first <= kSequenceMax && header.epoch > 0 &&
         header.segment_bytes >= (header.dense ? kDenseBytesMin : kSegmentBytesMin);
}

void store_ranges(const SegmentContent& content, std::byte* at) {
  for (std::size_t i = 0; i < content.sections.size(); ++i) {
    std::byte* entry = at + kSectionsAt + i * kSectionBytes;
    store_le(entry, content.sections[i].offset);
    store_le(entry + 4, content.sections[i].epoch);
    store_le(entry + 8, content.sections[i].first);
    store_time(entry + 16, content.sections[i].wall.time_since_epoch());
  }
  for (std::size_t i = 0; i < content.missing.size(); ++i) {
    std::byte* entry = at + kMissingAt + i * kMissingBytes;
    store_le(entry, content.missing[i].first);
    store_le(entry + 8, content.missing[i].end);
  }
}

void load_ranges(const std::byte* at, std::size_t sections, std::size_t missing, SegmentContent& content) {
  for (std::size_t i = 0; i < sections; ++i) {
    const std::byte* entry = at + kSectionsAt + i * kSectionBytes;
    content.sections.push_back({load_le<std::uint32_t>(entry), load_le<std::uint32_t>(entry + 4),
                                load_le<std::uint64_t>(entry + 8), WallTime(load_time(entry + 16))});
  }
  for (std::size_t i = 0; i < missing; ++i) {
    const std::byte* entry = at + kMissingAt + i * kMissingBytes;
    content.missing.push_back({load_le<std::uint64_t>(entry), load_le<std::uint64_t>(entry + 8)});
  }
}

}  // namespace

std::uint64_t SegmentContent::records() const {
  std::uint64_t lost = 0;
  for (const SequenceRange& range : missing) lost += range.count();
  return end - first - lost;
}

void SegmentContent::add(const FrameHeader& header, std::uint64_t offset) {
  if (frames == 0) {
    wall_from = header.times.wall;
    wall_to = header.wall_to();
    if (first == 0) first = end = header.first;
  }
  if (header.first > end) missing.push_back({end, header.first});
  // The frame that begins a section can be lost: then the first one that is left of it tells.
  const std::uint64_t begins = std::max(header.section, end);
  if (header.section_start() || sections.empty() || sections.back().epoch != header.epoch ||
      sections.back().first < header.section) {
    sections.push_back({static_cast<std::uint32_t>(offset), header.epoch, begins, header.times.wall});
  }
  ++frames;
  end = header.end();
  used_bytes = offset + header.frame_bytes();
  last_epoch = header.epoch;
  wall_from = std::min(wall_from, header.times.wall);
  wall_to = std::max(wall_to, header.wall_to());
}

void write_segment_header(const SegmentHeader& header, std::byte* at) {
  std::memset(at, 0, kBlockBytes);
  store_le(at, kHeaderMagic);
  store_le(at + 8, kFormatVersion);
  at[12] = static_cast<std::byte>(header.identity.stream);
  at[13] = static_cast<std::byte>(header.recycled ? 1 : 0);
  at[14] = static_cast<std::byte>(header.times.quality);
  at[15] = static_cast<std::byte>(header.dense ? 1 : 0);
  std::memcpy(at + 16, header.identity.log_id.data(), sizeof(LogId));
  store_le(at + 32, header.identity.number);
  store_le(at + 40, header.first);
  store_le(at + 48, header.epoch);
  store_le(at + 52, static_cast<std::uint32_t>(header.segment_bytes));
  std::memcpy(at + 56, header.boot_id.data(), sizeof(BootId));
  store_time(at + 72, header.times.wall.time_since_epoch());
  store_time(at + 80, header.times.boot.time_since_epoch());
  store_le(at + 96, header.rewrites_to);
  const std::size_t marks = std::min(header.marks.size(), kHeaderMarksMax);
  store_le(at + 88, static_cast<std::uint32_t>(marks));
  for (std::size_t i = 0; i < marks; ++i) {
    store_le(at + kMarksAt + i * kMarkBytes, header.marks[i].queue_id);
    store_le(at + kMarksAt + i * kMarkBytes + 8, header.marks[i].position);
  }
  store_crc(at, 0);
}

ParsedHeader read_segment_header(ByteSpan block) {
  ParsedHeader parsed;
  if (block.size() < kBlockBytes) return parsed;
  const ByteSpan head = block.first(kBlockBytes);
  if (is_blank(head)) {
    parsed.state = BlockState::blank;
    return parsed;
  }
  if (load_le<std::uint64_t>(head.data()) != kHeaderMagic || !crc_holds(head, 0)) return parsed;
  parsed.version = load_le<std::uint32_t>(head.data() + 8);
  if (parsed.version > kFormatVersion) {
    parsed.state = BlockState::newer;
  } else if (load_header(head.data(), parsed.header)) {
    parsed.state = BlockState::valid;
  }
  return parsed;
}

void write_segment_footer(const SegmentIdentity& identity, const SegmentContent& content, std::byte* at) {
  std::memset(at, 0, kBlockBytes);
  store_le(at, kFooterMagic);
  store_le(at + 8, kFormatVersion);
  store_le(at + 12, content.last_epoch);
  std::memcpy(at + 16, identity.log_id.data(), sizeof(LogId));
  store_le(at + 32, identity.number);
  store_le(at + 40, content.first);
  store_le(at + 48, content.end);
  store_le(at + 56, content.records());
  store_le(at + 64, content.frames);
  store_le(at + 72, content.used_bytes);
  store_time(at + 80, content.wall_from.time_since_epoch());
  store_time(at + 88, content.wall_to.time_since_epoch());
  store_le(at + 96, static_cast<std::uint32_t>(content.sections.size()));
  store_le(at + 100, static_cast<std::uint32_t>(content.missing.size()));
  store_ranges(content, at);
  store_crc(at, identity.seed());
}

std::optional<SegmentContent> read_segment_footer(ByteSpan block, const SegmentIdentity& identity) {
  if (block.size() < kBlockBytes) return std::nullopt;
  const std::byte* at = block.data();
  if (load_le<std::uint64_t>(at) != kFooterMagic || !crc_holds(block.first(kBlockBytes), identity.seed())) {
    return std::nullopt;
  }
  SegmentContent content;
  content.last_epoch = load_le<std::uint32_t>(at + 12);
  content.first = load_le<std::uint64_t>(at + 40);
  content.end = load_le<std::uint64_t>(at + 48);
  content.frames = load_le<std::uint64_t>(at + 64);
  content.used_bytes = load_le<std::uint64_t>(at + 72);
  content.wall_from = WallTime(load_time(at + 80));
  content.wall_to = WallTime(load_time(at + 88));
  const auto sections = load_le<std::uint32_t>(at + 96);
  const auto missing = load_le<std::uint32_t>(at + 100);
  if (load_le<std::uint32_t>(at + 8) > kFormatVersion || content.first > content.end || content.end > kSequenceMax ||
      sections > kSectionsMax || missing > kFooterMissingMax) {
    return std::nullopt;
  }
  load_ranges(at, sections, missing, content);
  return content;
}

void thin_sections(std::vector<SectionEntry>& sections) {
  const auto begins_epoch = [&](std::size_t i) { return i == 0 || sections[i].epoch != sections[i - 1].epoch; };
  std::size_t needed = 0;
  for (std::size_t i = 0; i < sections.size(); ++i) needed += begins_epoch(i) ? 1U : 0U;
  if (sections.size() <= kSectionsMax || needed >= kSectionsMax) return;
  const std::size_t step = sections.size() / (kSectionsMax - needed) + 1;
  std::vector<SectionEntry> kept;
  for (std::size_t i = 0; i < sections.size(); ++i) {
    if (begins_epoch(i) || i % step == 0) kept.push_back(sections[i]);
  }
  sections = std::move(kept);
}

std::string segment_name(std::uint64_t number) { return digits_of(number) + std::string(kSegmentSuffix); }

std::string dense_name(std::uint64_t number) { return digits_of(number) + std::string(kDenseSuffix); }

std::optional<std::uint64_t> parse_segment_name(std::string_view name) { return parse_name(name, kSegmentSuffix); }

std::optional<std::uint64_t> parse_dense_name(std::string_view name) { return parse_name(name, kDenseSuffix); }

}  // namespace tidegate::buffer
