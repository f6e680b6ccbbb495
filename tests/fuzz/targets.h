#pragma once

#include <cstdint>
#include <span>

namespace tidegate::fuzz {

/// What is fuzzed. An input that breaks a promise of the code aborts the process, whatever the build.

/// A segment image (segment_image.h) as the only file of a log: opened, read in every way, appended to, opened again.
void read_segment(std::span<const std::uint8_t> input);

/// The first byte chooses: the state database, its write-ahead log behind a whole database, the rules' saved state,
/// the packing around it, a gap document. The rest is the content.
void load_state(std::span<const std::uint8_t> input);

}  // namespace tidegate::fuzz
