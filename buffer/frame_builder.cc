#include "buffer/frame_builder.h"

#include <spdlog/fmt/fmt.h>

#include <algorithm>
#include <utility>

#include "core/crc32c.h"

namespace tidegate::buffer {
namespace {

// A section is at least this share of a segment, and its paths are at most a sixteenth of it.
constexpr std::uint64_t kSectionsPerSegment = 64;
constexpr std::uint64_t kSectionBytesMin = 64 * 1024;
constexpr std::uint64_t kPathShare = 16;

}  // namespace

FrameBuilder::FrameBuilder(const TagRegistry& registry, Stream stream, std::uint64_t segment_bytes)
    : registry_(registry),
      stream_(stream),
      body_max_(body_max_of(segment_bytes)),
      section_bytes_(std::max(kSectionBytesMin, segment_bytes / kSectionsPerSegment)),
      encoder_(registry) {}

std::size_t FrameBuilder::body_max_of(std::uint64_t segment_bytes) {
  return std::min<std::size_t>(
      kFrameBodyMax, static_cast<std::size_t>(segment_bytes) - 2 * kBlockBytes - kFrameHeaderBytes - kFrameAlignment);
}

bool FrameBuilder::section_is_over(std::uint64_t offset) const {
  return restart_ ||
         offset - section_offset_ >= std::max<std::uint64_t>(section_bytes_, kPathShare * dictionary_.path_bytes());
}

std::size_t FrameBuilder::build(const FrameRun& run, const FramePlace& place) {
  out_.clear();
  frames_.clear();
  sections_ = 0;
  // Sections also say where epochs begin, and which start of the machine their times count from.
  if (std::exchange(epoch_, run.epoch) != run.epoch) restart_section();
  if (std::exchange(boot_id_, run.boot_id) != run.boot_id) restart_section();
  std::size_t done = 0;
  while (done < run.records.size()) {
    const std::size_t count = build_one(run, done, place);
    if (count == 0) break;
    done += count;
  }
  return done;
}

std::size_t FrameBuilder::build_one(const FrameRun& run, std::size_t done, const FramePlace& place) {
  const std::size_t at = out_.size();
  const std::uint64_t offset = place.offset + at;
  if (offset + kFrameHeaderBytes + kBodyRoomMin > place.limit) return 0;
  const std::size_t body_max =
      std::min(body_max_, static_cast<std::size_t>(place.limit - offset) - kFrameHeaderBytes - kFrameAlignment);
  FrameHeader header;
  if (section_is_over(offset)) {
    if (sections_ >= place.sections_left) return 0;
    ++sections_;
    dictionary_.restart();
    section_offset_ = offset;
    section_ = run.first + done;
    restart_ = false;
    header.flags = kSectionStart;
  }
  const BodyStart start{header.section_start() ? &boot_id_ : nullptr, run.marks, run.times.wall, offset / kBlockBytes};
  const Records rest = run.records.from(done);
  out_.put_zeros(kFrameHeaderBytes);
  const bool readings = stream_ == Stream::readings;
  const std::size_t count = readings ? encoder_.encode(rest.readings, start, dictionary_, body_max, out_)
                                     : encode_documents(rest.documents, start, body_max, out_);
  header.body_bytes = static_cast<std::uint32_t>(out_.size() - at - kFrameHeaderBytes);
  if (header.body_bytes > body_max) {
    out_.cut(at);
    restart_ = true;  // the dictionary has numbers now that no frame has stored
    return 0;
  }
  header.section = section_;
  header.first = run.first + done;
  header.count = static_cast<std::uint32_t>(count);
  header.epoch = run.epoch;
  header.times = run.times;
  header.codec = readings ? Codec::readings : Codec::documents;
  out_.put_zeros(header.frame_bytes() - kFrameHeaderBytes - header.body_bytes);
  std::byte* frame = out_.data() + at;
  header.body_crc = crc32c({frame + kFrameHeaderBytes, header.body_bytes}, place.seed);
  write_frame_header(header, place.seed, frame);
  dictionary_.end_frame((offset + header.frame_bytes() - 1) / kBlockBytes);
  frames_.push_back({header, offset, at, run.boot_id, dictionary_.tags()});
  return count;
}

Result<void> FrameBuilder::check(const Records& records) const {
  const std::size_t tags = registry_.size();
  for (const Reading& reading : records.readings) {
    if (static_cast<std::size_t>(reading.tag) >= tags) {
      return fail(ErrorCode::invalid, "a reading has no tag; it would have to be claimed or interned first");
    }
    if (!ReadingsEncoder::fits(reading, body_max_)) {
      return fail(ErrorCode::invalid,
                  fmt::format("tag {}: a text of {} bytes is too long for a frame of {} bytes",
                              registry_.tag(reading.tag).path, std::get<std::string>(reading.value).size(), body_max_));
    }
  }
  for (const std::string& document : records.documents) {
    if (document_fits(document, body_max_)) continue;
    return fail(ErrorCode::invalid, fmt::format("stream {}: a document of {} bytes is too long for a frame of {} bytes",
                                                to_string(stream_), document.size(), body_max_));
  }
  return {};
}

}  // namespace tidegate::buffer
