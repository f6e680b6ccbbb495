#include "core/crc32c.h"

#include <array>
#include <cstring>

#if defined(__x86_64__)
#include <nmmintrin.h>
#elif defined(__aarch64__)
#include <arm_acle.h>
#include <sys/auxv.h>
#ifndef HWCAP_CRC32
#define HWCAP_CRC32 (1 << 7)
#endif
#endif

namespace tidegate {
namespace {

constexpr std::uint32_t kPolynomial = 0x82f63b78U;  // reflected
using Tables = std::array<std::array<std::uint32_t, 256>, 8>;

// tables[k][b] is the CRC of byte b followed by k zero bytes: eight bytes are taken at a time ("slicing by 8").
constexpr Tables make_tables() {
  Tables tables{};
  for (std::uint32_t byte = 0; byte < 256; ++byte) {
    std::uint32_t crc = byte;
    for (int bit = 0; bit < 8; ++bit) crc = (crc >> 1) ^ ((crc & 1U) != 0 ? kPolynomial : 0U);
    tables[0][byte] = crc;
  }
  for (std::size_t k = 1; k < tables.size(); ++k) {
    for (std::size_t byte = 0; byte < 256; ++byte) {
      const std::uint32_t before = tables[k - 1][byte];
      tables[k][byte] = (before >> 8) ^ tables[0][before & 0xffU];
    }
  }
  return tables;
}
constexpr Tables kTables = make_tables();

std::uint32_t load_little_endian(const std::byte* from) {
  std::uint32_t word = 0;
  for (unsigned i = 0; i < 4; ++i) word |= static_cast<std::uint32_t>(from[i]) << (8 * i);
  return word;
}

#if defined(__x86_64__)
constexpr bool kHasHardwarePath = true;
bool detect_hardware() { return __builtin_cpu_supports("sse4.2") != 0; }

__attribute__((target("sse4.2"))) std::uint32_t crc32c_hardware(std::span<const std::byte> data, std::uint32_t crc) {
  std::uint64_t state = ~crc;
  const std::byte* at = data.data();
  std::size_t left = data.size();
  for (; left >= 8; left -= 8, at += 8) {
    std::uint64_t word = 0;
    std::memcpy(&word, at, sizeof word);
    state = _mm_crc32_u64(state, word);
  }
  auto narrow = static_cast<std::uint32_t>(state);
  for (; left > 0; --left, ++at) narrow = _mm_crc32_u8(narrow, static_cast<unsigned char>(*at));
  return ~narrow;
}
#elif defined(__aarch64__)
constexpr bool kHasHardwarePath = true;
bool detect_hardware() { return (getauxval(AT_HWCAP) & HWCAP_CRC32) != 0; }

__attribute__((target("+crc"))) std::uint32_t crc32c_hardware(std::span<const std::byte> data, std::uint32_t crc) {
  std::uint32_t state = ~crc;
  const std::byte* at = data.data();
  std::size_t left = data.size();
  for (; left >= 8; left -= 8, at += 8) {
    std::uint64_t word = 0;
    std::memcpy(&word, at, sizeof word);
    state = __crc32cd(state, word);
  }
  for (; left > 0; --left, ++at) state = __crc32cb(state, static_cast<std::uint8_t>(*at));
  return ~state;
}
#else
constexpr bool kHasHardwarePath = false;
bool detect_hardware() { return false; }
std::uint32_t crc32c_hardware(std::span<const std::byte> data, std::uint32_t crc) { return crc32c_portable(data, crc); }
#endif

}  // namespace

std::uint32_t crc32c_portable(std::span<const std::byte> data, std::uint32_t crc) {
  std::uint32_t state = ~crc;
  const std::byte* at = data.data();
  std::size_t left = data.size();
  for (; left >= 8; left -= 8, at += 8) {
    const std::uint32_t low = state ^ load_little_endian(at);
    const std::uint32_t high = load_little_endian(at + 4);
    state = kTables[7][low & 0xffU] ^ kTables[6][(low >> 8) & 0xffU] ^ kTables[5][(low >> 16) & 0xffU] ^
            kTables[4][low >> 24] ^ kTables[3][high & 0xffU] ^ kTables[2][(high >> 8) & 0xffU] ^
            kTables[1][(high >> 16) & 0xffU] ^ kTables[0][high >> 24];
  }
  for (; left > 0; --left, ++at) state = (state >> 8) ^ kTables[0][(state ^ static_cast<std::uint32_t>(*at)) & 0xffU];
  return ~state;
}

bool crc32c_is_hardware() {
  static const bool detected = kHasHardwarePath && detect_hardware();
  return detected;
}

std::uint32_t crc32c(std::span<const std::byte> data, std::uint32_t crc) {
  return crc32c_is_hardware() ? crc32c_hardware(data, crc) : crc32c_portable(data, crc);
}

}  // namespace tidegate
