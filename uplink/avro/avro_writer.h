#pragma once

#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace tidegate::uplink {

/// Avro's binary encoding of single values (Avro 1.11, "Binary Encoding"), appended to a buffer that the caller owns.
class AvroWriter {
 public:
  explicit AvroWriter(std::string& out) : out_(out) {}

  void flag(bool value) { out_ += value ? '\1' : '\0'; }
  // Near zero is short, whatever the sign; then seven bits a byte, the lowest first.
  void whole(std::int64_t value) {
    auto rest = (static_cast<std::uint64_t>(value) << 1U) ^ (value < 0 ? ~std::uint64_t{0} : 0);
    std::array<char, 10> bytes{};
    std::size_t size = 0;
    for (; rest >= 0x80; rest >>= 7U) bytes[size++] = static_cast<char>((rest & 0x7fU) | 0x80U);
    bytes[size++] = static_cast<char>(rest);
    out_.append(bytes.data(), size);
  }
  void real(double value) {
    const auto bits = std::bit_cast<std::uint64_t>(value);
    std::array<char, sizeof(bits)> bytes{};
    for (std::size_t i = 0; i < bytes.size(); ++i) bytes[i] = static_cast<char>(bits >> (8 * i) & 0xffU);
    out_.append(bytes.data(), bytes.size());
  }
  void text(std::string_view value) {
    whole(static_cast<std::int64_t>(value.size()));
    out_ += value;
  }
  // A decimal without digits behind the point: the two's complement, the highest byte first.
  void natural(std::uint64_t value) {
    constexpr std::int64_t kBytes = 9;  // the first is zero, so that it is not negative
    whole(kBytes);
    out_ += '\0';
    for (unsigned shift = 64; shift > 0; shift -= 8) out_ += static_cast<char>(value >> (shift - 8) & 0xffU);
  }
  /// Which member of a union comes next.
  void branch(std::int64_t index) { whole(index); }
  /// Of a union of null and one other type.
  void nothing() { branch(0); }
  void something() { branch(1); }

 private:
  std::string& out_;
};

}  // namespace tidegate::uplink
