#pragma once

#include <cstdint>
#include <deque>
#include <memory>
#include <vector>

#include "buffer/bytes.h"
#include "buffer/frame.h"
#include "core/tag.h"

namespace tidegate::buffer {

/// One frame as it was written, with what its section says of it.
struct MemoryFrame {
  FrameHeader header;
  BootId boot_id{};
  const std::byte* body = nullptr;
  std::shared_ptr<const std::vector<TagId>> tags;

  ByteSpan body_span() const { return {body, header.body_bytes}; }
};

/// The newest frames of a stream, encoded: for consumers that keep up, and to write again what a failed sync has taken.
/// Frames are of consecutive sequences.
class MemoryTail {
 public:
  void push(const FrameHeader& header, const BootId& boot_id, ByteSpan body,
            std::shared_ptr<const std::vector<TagId>> tags);
  /// Drops the oldest frames that end at or before `durable` while more than `bytes_max` are held.
  void shrink(std::size_t bytes_max, std::uint64_t durable);
  /// Drops the frames from `sequence` on.
  void drop_from(std::uint64_t sequence);

  bool empty() const { return frames_.empty(); }
  std::size_t bytes() const { return bytes_; }
  /// The oldest sequence held; meaningless when empty().
  std::uint64_t first() const { return frames_.front().header.first; }
  /// Index of the frame that holds `sequence`, or of the first behind it; size() when there is none.
  std::size_t find(std::uint64_t sequence) const;
  const MemoryFrame& operator[](std::size_t index) const { return frames_[index]; }
  std::size_t size() const { return frames_.size(); }

 private:
  struct Chunk {
    std::unique_ptr<std::byte[]> bytes;
    std::size_t capacity = 0;
    std::size_t used = 0;
    std::size_t frames = 0;
  };
  std::byte* place(std::size_t bytes);
  void drop_chunk_front();

  std::deque<MemoryFrame> frames_;
  std::deque<Chunk> chunks_;
  Chunk kept_;  // one chunk that was emptied, for the next need
  std::size_t bytes_ = 0;
};

}  // namespace tidegate::buffer
