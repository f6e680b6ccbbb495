#include "buffer/frame_scanner.h"

#include <spdlog/fmt/fmt.h>

#include <algorithm>

#include "core/crc32c.h"

namespace tidegate::buffer {

ByteSpan FileWindow::view(std::uint64_t offset, std::size_t bytes) {
  const ByteSpan found = view_from(offset, bytes);
  return found.first(std::min(found.size(), bytes));
}

ByteSpan FileWindow::view_from(std::uint64_t offset, std::size_t bytes) {
  if (offset < start_ || offset + bytes > start_ + size_) fill(offset, std::max(bytes, piece_bytes_));
  if (offset >= start_ + size_) return {};
  return ByteSpan(buffer_.get(), size_).subspan(static_cast<std::size_t>(offset - start_));
}

void FileWindow::fill(std::uint64_t offset, std::size_t bytes) {
  if (capacity_ < bytes) {
    buffer_ = std::make_unique_for_overwrite<std::byte[]>(bytes);
    capacity_ = bytes;
  }
  const std::span<std::byte> into(buffer_.get(), bytes);
  start_ = offset;
  const auto count = file_->read_at(offset, into);
  size_ = count ? *count : read_blocks(offset, into);
}

std::size_t FileWindow::read_blocks(std::uint64_t offset, std::span<std::byte> into) {
  const std::uint64_t file_bytes = file_->size().value_or(0);
  if (offset >= file_bytes) return 0;
  const auto present = static_cast<std::size_t>(std::min<std::uint64_t>(into.size(), file_bytes - offset));
  for (std::size_t done = 0; done < present;) {
    const std::size_t to_boundary = kBlockBytes - static_cast<std::size_t>((offset + done) % kBlockBytes);
    const auto part = into.subspan(done, std::min(to_boundary, present - done));
    const auto count = file_->read_at(offset + done, part);
    if (!count || *count < part.size()) std::fill(part.begin(), part.end(), std::byte{0});
    done += part.size();
  }
  return present;
}

FrameScanner::FrameScanner(const File& file, std::uint32_t seed, std::uint64_t from, std::uint64_t limit,
                           std::size_t piece_bytes)
    : window_(file, piece_bytes), seed_(seed), offset_(from), limit_(limit), end_(from) {}

std::optional<ScannedFrame> FrameScanner::next() {
  problem_.reset();
  while (skip_to_magic() + kFrameHeaderBytes <= limit_) {
    if (auto frame = try_frame()) return frame;
    offset_ += kFrameAlignment;
  }
  return std::nullopt;
}

// Moves to the next place that begins with the magic; to the limit when there is none.
std::uint64_t FrameScanner::skip_to_magic() {
  while (offset_ + kFrameHeaderBytes <= limit_) {
    const ByteSpan bytes = window_.view_from(offset_, kFrameHeaderBytes);
    if (bytes.size() < kFrameHeaderBytes) break;
    for (std::size_t i = 0; i + kFrameHeaderBytes <= bytes.size(); i += kFrameAlignment) {
      if (load_le<std::uint32_t>(bytes.data() + i) == kFrameMagic) return offset_ += i;
    }
    offset_ += (bytes.size() - kFrameHeaderBytes) / kFrameAlignment * kFrameAlignment + kFrameAlignment;
  }
  return offset_ = limit_;
}

std::optional<ScannedFrame> FrameScanner::try_frame() {
  const std::byte* at = window_.view(offset_, kFrameHeaderBytes).data();
  const auto header = read_frame_header(at, seed_);
  if (!header) {
    note(nullptr, "the frame header's CRC is not right");
    return std::nullopt;
  }
  if (header->epoch < epoch_ || header->first < sequence_) return std::nullopt;
  const std::size_t bytes = kFrameHeaderBytes + header->body_bytes;
  if (offset_ + header->frame_bytes() > limit_) {
    note(&*header, "the frame is longer than what is left of the segment");
    return std::nullopt;
  }
  const ByteSpan whole = window_.view(offset_, bytes);
  const ByteSpan body = whole.subspan(std::min(whole.size(), kFrameHeaderBytes));
  const std::uint32_t crc = crc32c(body, seed_);
  if (whole.size() < bytes || crc != header->body_crc) {
    note(&*header, fmt::format("body CRC is {:08x}, should be {:08x}", crc, header->body_crc));
    return std::nullopt;
  }
  ScannedFrame frame{offset_, *header, body};
  epoch_ = header->epoch;
  sequence_ = header->end();
  offset_ += header->frame_bytes();
  end_ = offset_;
  return frame;
}

void FrameScanner::note(const FrameHeader* header, std::string text) {
  // A header that fails says little: most often it is what the file held before. One whose header is right says all.
  if (problem_ && (problem_->bytes > 0 || header == nullptr)) return;
  problem_ = FrameProblem{offset_, 0, 0, 0, std::move(text)};
  if (header == nullptr) return;
  problem_->bytes = header->frame_bytes();
  problem_->first = header->first;
  problem_->end = header->end();
}

}  // namespace tidegate::buffer
