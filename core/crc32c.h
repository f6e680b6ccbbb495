#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

namespace tidegate {

/// CRC-32C (Castagnoli, RFC 3720 appendix B.4) of `data`, continued from `crc` (0 to begin).
/// Uses the processor's instruction where it has one (SSE4.2, ARMv8 CRC), else crc32c_portable.
std::uint32_t crc32c(std::span<const std::byte> data, std::uint32_t crc = 0);

/// The same by tables, on every processor.
std::uint32_t crc32c_portable(std::span<const std::byte> data, std::uint32_t crc = 0);

/// Whether crc32c uses an instruction of this processor.
bool crc32c_is_hardware();

}  // namespace tidegate
