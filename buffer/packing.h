#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "buffer/bytes.h"

namespace tidegate::buffer {

/// Writes the parts of dense frames: runs of bytes, compressed by zstd where that makes them smaller. Keeps its scratch
/// memory, some 300 KiB; one thread.
class Packer {
 public:
  Packer();
  ~Packer();
  Packer(const Packer&) = delete;
  Packer& operator=(const Packer&) = delete;

  /// varint 2 * bytes + (1 when compressed); if compressed, varint of the bytes that follow; the bytes.
  void put_bytes(OutBuffer& out, ByteSpan raw);
  /// Numbers as varints, in three parts: all first bytes, the second bytes of those that have one, all further bytes.
  /// So bytes of one kind stand together.
  void put_numbers(OutBuffer& out, std::span<const std::uint64_t> numbers);
  /// The lowest `width` bytes of each, a part for each place.
  void put_planes(OutBuffer& out, std::span<const std::uint64_t> numbers, std::size_t width);

 private:
  struct Context;
  std::unique_ptr<Context> context_;
  OutBuffer packed_;
  OutBuffer firsts_;
  OutBuffer seconds_;
  OutBuffer others_;
};

/// The other way. What is malformed, or larger than it can be, marks the reader as failed; nothing larger is allocated.
/// One thread; made where it is needed, because zstd's part is some 100 KiB.
class Unpacker {
 public:
  Unpacker();
  ~Unpacker();
  Unpacker(const Unpacker&) = delete;
  Unpacker& operator=(const Unpacker&) = delete;

  /// Replaces `into`, with at most `bytes_max` bytes.
  void read_bytes(ByteReader& reader, std::size_t bytes_max, std::vector<std::byte>& into);
  /// Fills all of `numbers`.
  void read_numbers(ByteReader& reader, std::span<std::uint64_t> numbers);
  void read_planes(ByteReader& reader, std::span<std::uint64_t> numbers, std::size_t width);

 private:
  bool read_further_bytes(std::span<std::uint64_t> numbers);

  struct Context;
  std::unique_ptr<Context> context_;
  std::vector<std::byte> firsts_;
  std::vector<std::byte> seconds_;
  std::vector<std::byte> others_;
};

}  // namespace tidegate::buffer
