#include "tests/fuzz/segment_image.h"

#include <algorithm>
#include <cstring>

#include "core/crc32c.h"

namespace tidegate::fuzz {
namespace {

using buffer::kBlockBytes;
using buffer::kFrameHeaderBytes;
using buffer::load_le;
using buffer::store_le;

constexpr std::size_t kCrcAt = kBlockBytes - 4;

void repair_frames(std::span<std::byte> frames, std::uint32_t seed) {
  for (std::size_t at = 0; at + kFrameHeaderBytes <= frames.size(); at += buffer::kFrameAlignment) {
    std::byte* header = frames.data() + at;
    if (load_le<std::uint32_t>(header) != buffer::kFrameMagic) continue;
    const std::size_t body = load_le<std::uint32_t>(header + 8);
    if (body <= frames.size() - at - kFrameHeaderBytes) {
      store_le(header + 12, crc32c(frames.subspan(at + kFrameHeaderBytes, body), seed));
    }
    store_le(header + 4, crc32c(frames.subspan(at + 8, kFrameHeaderBytes - 8), seed));
  }
}

}  // namespace

SegmentImage unpack_image(std::span<const std::uint8_t> input) {
  SegmentImage image;
  image.file.resize(kImageBytes);
  if (input.empty()) return image;
  const std::uint8_t flags = input.front();
  image.stream = static_cast<Stream>((flags & kStreamMask) % kStreamCount);
  auto content = std::as_bytes(input.subspan(1));
  if ((flags & kHasFooter) != 0 && content.size() >= kBlockBytes) {
    std::ranges::copy(content.last(kBlockBytes), image.file.end() - kBlockBytes);
    content = content.first(std::min(content.size() - kBlockBytes, kImageBytes - kBlockBytes));
  }
  if (content.size() > image.file.size()) image.file.resize(content.size());
  std::ranges::copy(content, image.file.begin());
  return image;
}

std::vector<std::uint8_t> pack_image(const SegmentImage& image, bool sealed) {
  std::vector<std::byte> file = image.file;
  std::vector<std::byte> footer;
  if (sealed) {
    footer.assign(file.end() - kBlockBytes, file.end());
    file.resize(file.size() - kBlockBytes);
  }
  while (!file.empty() && file.back() == std::byte{0}) file.pop_back();
  std::vector<std::uint8_t> packed{
      static_cast<std::uint8_t>(static_cast<unsigned>(image.stream) | (sealed ? kHasFooter : 0U))};
  for (const auto& part : {file, footer}) {
    for (const std::byte byte : part) packed.push_back(static_cast<std::uint8_t>(byte));
  }
  return packed;
}

void repair_checksums(std::span<std::uint8_t> input) {
  if (input.size() < 1 + kBlockBytes) return;
  const auto content = std::as_writable_bytes(input.subspan(1));
  const auto header = content.first(kBlockBytes);
  store_le(header.data() + kCrcAt, crc32c(header.first(kCrcAt)));

  buffer::SegmentIdentity identity;
  std::memcpy(identity.log_id.data(), header.data() + 16, identity.log_id.size());
  identity.stream = static_cast<Stream>((input.front() & kStreamMask) % kStreamCount);
  identity.number = load_le<std::uint64_t>(header.data() + 32);
  auto frames = content.subspan(kBlockBytes);
  if ((input.front() & kHasFooter) != 0 && frames.size() >= kBlockBytes) {
    const auto footer = frames.last(kBlockBytes);
    frames = frames.first(frames.size() - kBlockBytes);
    store_le(footer.data() + kCrcAt, crc32c(footer.first(kCrcAt), identity.seed()));
  }
  repair_frames(frames, identity.seed());
}

}  // namespace tidegate::fuzz
