#include "buffer/segment_file.h"

#include <spdlog/fmt/fmt.h>

#include <algorithm>
#include <array>
#include <tuple>

#include "buffer/frame_scanner.h"

namespace tidegate::buffer {
namespace {

// How far behind the last frame a torn write is looked for.
constexpr std::size_t kTornBytesMax = 2 * kFrameBodyMax;
// Files with higher numbers are none that a log has begun, which counts from 1.
constexpr std::uint64_t kNumbersMax = 1ULL << 62;
// Where the first frames of a segment are, if it has any.
constexpr std::uint64_t kFirstFramesMax = kFrameBodyMax + 64 * 1024;

std::optional<SegmentContent> load_footer(const SegmentFile& file, const File& content,
                                          const SegmentIdentity& identity) {
  std::array<std::byte, kBlockBytes> block;
  const auto count = content.read_at(frames_limit(file), block);
  if (!count || *count < block.size()) return std::nullopt;
  auto footer = read_segment_footer(block, identity);
  if (footer && footer->used_bytes > frames_limit(file)) return std::nullopt;
  return footer;
}

// Without a header nobody knows whether the file still has its full size: frames may reach to its very end.
std::uint64_t scan_limit(const SegmentFile& file) {
  return file.header.state == BlockState::valid ? frames_limit(file) : std::max<std::uint64_t>(file.bytes, kBlockBytes);
}

bool has_frames(const File& content, const SegmentIdentity& identity, std::uint64_t limit) {
  FrameScanner scanner(content, identity.seed(), kBlockBytes, limit);
  return scanner.next().has_value();
}

// Behind the last frame of a segment that was never used before lie zeros, unless a write was torn.
std::uint64_t torn_bytes(const File& content, std::uint64_t from, std::uint64_t limit) {
  FileWindow window(content, kTornBytesMax);
  if (from >= limit) return 0;
  const ByteSpan behind =
      window.view(from, static_cast<std::size_t>(std::min<std::uint64_t>(kTornBytesMax, limit - from)));
  if (behind.empty() ||
      (behind[0] == std::byte{0} && std::memcmp(behind.data(), behind.data() + 1, behind.size() - 1) == 0)) {
    return 0;  // all zeros
  }
  const auto last = std::find_if(behind.rbegin(), behind.rend(), [](std::byte b) { return b != std::byte{0}; });
  return static_cast<std::uint64_t>(behind.rend() - last);
}

Hole hole_before(const LoadedSegment& segment, std::uint64_t expected, const ScannedFrame& frame,
                 const std::optional<FrameProblem>& problem) {
  const std::string text = problem ? fmt::format("offset {}: {}", problem->offset, problem->text)
                                   : fmt::format("offset {}: no frame", segment.end_offset);
  return {{expected, frame.header.first}, segment.end_offset, frame.offset, text};
}

void take_marks_of(const ScannedFrame& frame, std::vector<QueueMark>& marks) {
  BodyPrefix prefix;
  ByteReader reader(frame.body);
  if (read_body_prefix(reader, frame.header, &prefix)) take_marks(marks, prefix.marks);
}

void add_frame(LoadedSegment& segment, const ScannedFrame& frame, const std::optional<FrameProblem>& problem) {
  SegmentContent& content = segment.content;
  if (content.empty()) {
    if (segment.header && segment.header->first < frame.header.first) {
      segment.front = hole_before(segment, segment.header->first, frame, problem);
    }
  } else if (frame.header.first > content.end) {
    segment.holes.push_back(hole_before(segment, content.end, frame, problem));
  }
  content.add(frame.header, frame.offset);
  take_marks_of(frame, segment.marks);
}

}  // namespace

std::string stream_directory(const std::string& log_directory, Stream stream) {
  return log_directory + "/" + to_string(stream);
}

Result<StreamFiles> list_stream(FileSystem& files, const std::string& log_directory, Stream stream) {
  StreamFiles found;
  found.stream = stream;
  found.directory = stream_directory(log_directory, stream);
  auto names = files.list(found.directory);
  if (!names) return tl::unexpected(names.error());
  std::sort(names->begin(), names->end());
  for (const std::string& name : *names) {
    const auto number = parse_segment_name(name);
    if (!number) {
      const auto rewritten = parse_dense_name(name);
      if (rewritten) found.rewritten.push_back(*rewritten);
      if (!rewritten) found.unknown.push_back(name);
      continue;
    }
    if (*number < kNumbersMax) found.next_number = std::max(found.next_number, *number + 1);
    SegmentFile file{*number, found.directory + "/" + name, 0, {}};
    std::array<std::byte, kBlockBytes> block;
    const auto content = files.open(file.path, OpenMode::read);
    const auto count = content ? (*content)->read_at(0, block) : Result<std::size_t>(0);
    if (!content || !count) {
      found.unreadable.push_back(content ? count.error().message : content.error().message);
      continue;
    }
    file.bytes = (*content)->size().value_or(0);
    file.header = read_segment_header(ByteSpan(block).first(*count));
    found.segments.push_back(std::move(file));
  }
  return found;
}

LogId newest_log_id(std::span<const StreamFiles> streams) {
  const SegmentHeader* newest = nullptr;
  const auto age = [](const SegmentHeader& header) {
    return std::tuple(header.epoch, header.times.wall, header.identity.number);
  };
  for (const StreamFiles& stream : streams) {
    for (const SegmentFile& file : stream.segments) {
      if (file.header.state != BlockState::valid) continue;
      if (newest == nullptr || age(file.header.header) > age(*newest)) newest = &file.header.header;
    }
  }
  return newest == nullptr ? LogId{} : newest->identity.log_id;
}

FileRole role_of(const SegmentFile& file, const File& content, const SegmentIdentity& identity) {
  const SegmentIdentity& written = file.header.header.identity;
  switch (file.header.state) {
    case BlockState::newer:
      return FileRole::newer;
    case BlockState::blank:
      // A file that waits for its use is all zeros, and need not be read to its end to tell.
      return load_footer(file, content, identity) ||
                     has_frames(content, identity,
                                std::min<std::uint64_t>(scan_limit(file), kBlockBytes + kFirstFramesMax))
                 ? FileRole::segment
                 : FileRole::spare;
    case BlockState::invalid:
      if (file.bytes == 0) return FileRole::spare;
      return load_footer(file, content, identity) || has_frames(content, identity, scan_limit(file))
                 ? FileRole::segment
                 : FileRole::foreign;
    case BlockState::valid:
      break;
  }
  if (written.log_id != identity.log_id || written.stream != identity.stream) return FileRole::foreign;
  if (written.number == file.number) return FileRole::segment;
  return written.number < file.number ? FileRole::spare : FileRole::foreign;
}

std::uint64_t frames_limit(const SegmentFile& file) {
  const std::uint64_t whole = file.header.state == BlockState::valid ? file.header.header.segment_bytes : file.bytes;
  return whole < 2 * kBlockBytes ? kBlockBytes : whole - kBlockBytes;
}

LoadedSegment load_segment(const SegmentFile& file, const File& content, const SegmentIdentity& identity) {
  auto footer = load_footer(file, content, identity);
  if (!footer) return scan_segment(file, content, identity);
  LoadedSegment segment;
  segment.identity = identity;
  segment.path = file.path;
  segment.file_bytes = file.bytes;
  segment.sealed = true;
  segment.content = std::move(*footer);
  if (file.header.state == BlockState::valid) segment.header = file.header.header;
  segment.end_offset = segment.content.used_bytes;
  return segment;
}

LoadedSegment scan_segment(const SegmentFile& file, const File& content, const SegmentIdentity& identity) {
  LoadedSegment segment;
  segment.identity = identity;
  segment.path = file.path;
  segment.file_bytes = file.bytes;
  if (file.header.state == BlockState::valid) {
    segment.header = file.header.header;
    segment.marks = segment.header->marks;
  }
  FrameScanner scanner(content, identity.seed(), kBlockBytes, scan_limit(file));
  while (const auto frame = scanner.next()) {
    add_frame(segment, *frame, scanner.problem());
    segment.end_offset = scanner.end();
  }
  segment.tail = scanner.problem();
  const bool recycled = !segment.header || segment.header->recycled;
  if (segment.tail && segment.tail->bytes > 0) segment.torn_bytes = segment.tail->bytes;
  if (!recycled) segment.torn_bytes = torn_bytes(content, segment.end_offset, frames_limit(file));
  if (segment.content.empty()) segment.content.first = segment.content.end = segment.declared_first();
  return segment;
}

std::vector<QueueMark> scan_marks(const SegmentFile& file, const File& content, const SegmentIdentity& identity,
                                  std::uint64_t end) {
  std::vector<QueueMark> marks;
  if (file.header.state == BlockState::valid) marks = file.header.header.marks;
  FrameScanner scanner(content, identity.seed(), kBlockBytes, scan_limit(file));
  while (const auto frame = scanner.next()) {
    if (frame->header.end() > end) break;
    take_marks_of(*frame, marks);
  }
  return marks;
}

void take_marks(std::vector<QueueMark>& marks, std::span<const QueueMark> later) {
  for (const QueueMark& mark : later) {
    const auto same = std::find_if(marks.begin(), marks.end(),
                                   [&](const QueueMark& known) { return known.queue_id == mark.queue_id; });
    if (same != marks.end()) marks.erase(same);
    marks.push_back(mark);
  }
  if (marks.size() > kHeaderMarksMax) {
    marks.erase(marks.begin(), marks.begin() + static_cast<std::ptrdiff_t>(marks.size() - kHeaderMarksMax));
  }
}

}  // namespace tidegate::buffer
