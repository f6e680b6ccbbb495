#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "buffer/segment_format.h"

namespace tidegate::fuzz {

inline constexpr std::size_t kImageBytes = buffer::kSegmentBytesMin;

/// A segment file, made small for a fuzzer: one byte of flags, then the file without the zeros at its end. With
/// kHasFooter the last block of the input is the last block of the file.
inline constexpr std::uint8_t kStreamMask = 3;
inline constexpr std::uint8_t kHasFooter = 4;

struct SegmentImage {
  Stream stream = Stream::readings;
  std::vector<std::byte> file;  // kImageBytes at least
};
SegmentImage unpack_image(std::span<const std::uint8_t> input);
std::vector<std::uint8_t> pack_image(const SegmentImage& image, bool sealed);

/// Makes every checksum in a packed image right, so that what is behind the checksums gets to see the rest of it.
void repair_checksums(std::span<std::uint8_t> input);

}  // namespace tidegate::fuzz
