#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "buffer/bytes.h"
#include "buffer/frame.h"
#include "core/file_system.h"

namespace tidegate::buffer {

/// Sequential reading of one file in large pieces. A piece that cannot be read is tried again block by block; a block
/// that stays unreadable reads as zeros, which the CRCs then find, so that one bad sector costs the frames in it.
class FileWindow {
 public:
  FileWindow(const File& file, std::size_t piece_bytes) : file_(&file), piece_bytes_(piece_bytes) {}

  /// [offset, offset + bytes), shorter at the end of the file; valid until the next call.
  ByteSpan view(std::uint64_t offset, std::size_t bytes);
  /// All that is at hand from `offset` on, at least `bytes` unless the file ends.
  ByteSpan view_from(std::uint64_t offset, std::size_t bytes);

 private:
  void fill(std::uint64_t offset, std::size_t bytes);
  std::size_t read_blocks(std::uint64_t offset, std::span<std::byte> into);

  const File* file_;
  std::size_t piece_bytes_;
  std::unique_ptr<std::byte[]> buffer_;
  std::size_t capacity_ = 0;
  std::uint64_t start_ = 0;
  std::size_t size_ = 0;
};

struct ScannedFrame {
  std::uint64_t offset = 0;
  FrameHeader header;
  ByteSpan body;  // valid until the next call of the scanner
};

/// What lay between two valid frames and looked like a frame.
struct FrameProblem {
  std::uint64_t offset = 0;
  std::uint64_t bytes = 0;  // of the frame, when its header is right
  std::uint64_t first = 0;  // its sequences then
  std::uint64_t end = 0;
  std::string text;
};

/// Walks over the frames of a segment. Whatever is no valid frame of this segment (padding, content of an earlier life
/// of the file, damage) is skipped in steps of the frame alignment, so that every frame that is whole is found. Epochs
/// and sequences only rise; what falls behind is left over from an earlier life and skipped too.
class FrameScanner {
 public:
  static constexpr std::size_t kPieceBytes = 128 * 1024;

  FrameScanner(const File& file, std::uint32_t seed, std::uint64_t from, std::uint64_t limit,
               std::size_t piece_bytes = kPieceBytes);

  /// The next valid frame that ends at or before `limit`; nothing when there is none.
  std::optional<ScannedFrame> next();
  /// Where the last valid frame ended.
  std::uint64_t end() const { return end_; }
  /// The first problem since the last valid frame.
  const std::optional<FrameProblem>& problem() const { return problem_; }

 private:
  std::uint64_t skip_to_magic();
  std::optional<ScannedFrame> try_frame();
  void note(const FrameHeader* header, std::string text);

  FileWindow window_;
  std::uint32_t seed_;
  std::uint64_t offset_;
  std::uint64_t limit_;
  std::uint64_t end_;
  std::uint32_t epoch_ = 0;
  std::uint64_t sequence_ = 0;
  std::optional<FrameProblem> problem_;
};

}  // namespace tidegate::buffer
