#include "buffer/memory_tail.h"

#include <algorithm>

namespace tidegate::buffer {
namespace {

constexpr std::size_t kChunkBytes = 64 * 1024;

std::size_t cost(const MemoryFrame& frame) { return frame.header.body_bytes + sizeof(MemoryFrame); }

}  // namespace

std::byte* MemoryTail::place(std::size_t bytes) {
  if (chunks_.empty() || chunks_.back().capacity - chunks_.back().used < bytes) {
    if (kept_.capacity >= bytes) {
      chunks_.push_back(std::move(kept_));
      kept_ = {};
    } else {
      const std::size_t capacity = std::max(bytes, kChunkBytes);
      chunks_.push_back({std::make_unique_for_overwrite<std::byte[]>(capacity), capacity, 0, 0});
    }
  }
  Chunk& chunk = chunks_.back();
  std::byte* at = chunk.bytes.get() + chunk.used;
  chunk.used += bytes;
  ++chunk.frames;
  return at;
}

void MemoryTail::push(const FrameHeader& header, const BootId& boot_id, ByteSpan body,
                      std::shared_ptr<const std::vector<TagId>> tags) {
  std::byte* at = place(body.size());
  if (!body.empty()) std::memcpy(at, body.data(), body.size());
  frames_.push_back({header, boot_id, at, std::move(tags)});
  bytes_ += cost(frames_.back());
}

void MemoryTail::drop_chunk_front() {
  if (chunks_.front().capacity == kChunkBytes) {
    kept_ = std::move(chunks_.front());
    kept_.used = 0;
  }
  chunks_.pop_front();
}

void MemoryTail::shrink(std::size_t bytes_max, std::uint64_t durable) {
  while (bytes_ > bytes_max && !frames_.empty() && frames_.front().header.end() <= durable) {
    bytes_ -= cost(frames_.front());
    frames_.pop_front();
    if (--chunks_.front().frames == 0) drop_chunk_front();
  }
}

void MemoryTail::drop_from(std::uint64_t sequence) {
  while (!frames_.empty() && frames_.back().header.first >= sequence) {
    bytes_ -= cost(frames_.back());
    frames_.pop_back();
    if (--chunks_.back().frames == 0) chunks_.pop_back();
  }
}

std::size_t MemoryTail::find(std::uint64_t sequence) const {
  const auto found = std::partition_point(
      frames_.begin(), frames_.end(), [sequence](const MemoryFrame& frame) { return frame.header.end() <= sequence; });
  return static_cast<std::size_t>(found - frames_.begin());
}

}  // namespace tidegate::buffer
