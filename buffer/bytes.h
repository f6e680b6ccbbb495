#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <span>
#include <string_view>
#include <type_traits>

namespace tidegate::buffer {

using ByteSpan = std::span<const std::byte>;

inline ByteSpan as_bytes(std::string_view text) {
  return {reinterpret_cast<const std::byte*>(text.data()), text.size()};
}

/// Unsigned integers as the log stores them: little endian, at any address.
template <class T>
void store_le(std::byte* at, T value) {
  static_assert(std::is_unsigned_v<T>);
  if constexpr (std::endian::native == std::endian::little) {
    std::memcpy(at, &value, sizeof value);
  } else {
    for (std::size_t i = 0; i < sizeof value; ++i) at[i] = static_cast<std::byte>(value >> (8 * i));
  }
}

template <class T>
T load_le(const std::byte* at) {
  static_assert(std::is_unsigned_v<T>);
  T value = 0;
  if constexpr (std::endian::native == std::endian::little) {
    std::memcpy(&value, at, sizeof value);
  } else {
    for (std::size_t i = 0; i < sizeof value; ++i) value |= static_cast<T>(static_cast<T>(at[i]) << (8 * i));
  }
  return value;
}

/// Signed to unsigned so that small magnitudes become small numbers.
inline std::uint64_t zigzag(std::uint64_t two_complement) {
  return (two_complement << 1) ^ (0 - (two_complement >> 63));
}
inline std::uint64_t unzigzag(std::uint64_t number) { return (number >> 1) ^ (0 - (number & 1)); }

inline constexpr std::size_t kVarintBytesMax = 10;

/// Writes `value` in groups of seven bits, lowest first; returns the place behind it. Needs kVarintBytesMax bytes of
/// room.
inline std::byte* write_varint(std::byte* at, std::uint64_t value) {
  while (value >= 0x80) {
    *at++ = static_cast<std::byte>(value | 0x80);
    value >>= 7;
  }
  *at++ = static_cast<std::byte>(value);
  return at;
}

/// A growing run of bytes that is reused from frame to frame. Writing goes through room() and end_at(), so that a
/// column is written without a check a value.
class OutBuffer {
 public:
  std::size_t size() const { return size_; }
  std::byte* data() { return bytes_.get(); }
  ByteSpan view() const { return {bytes_.get(), size_}; }
  void clear() { size_ = 0; }
  void cut(std::size_t size) { size_ = size; }

  /// The place behind the content, with room for `bytes` more.
  std::byte* room(std::size_t bytes) {
    if (capacity_ - size_ < bytes) grow(bytes);
    return bytes_.get() + size_;
  }
  /// The content now ends at `end`, a place inside the last room().
  void end_at(const std::byte* end) { size_ = static_cast<std::size_t>(end - bytes_.get()); }

  void put_byte(std::uint8_t value) {
    *room(1) = static_cast<std::byte>(value);
    ++size_;
  }
  void put_varint(std::uint64_t value) { end_at(write_varint(room(kVarintBytesMax), value)); }
  void put_bytes(ByteSpan data) {
    std::byte* at = room(data.size());
    if (!data.empty()) std::memcpy(at, data.data(), data.size());
    size_ += data.size();
  }
  void put_zeros(std::size_t count) {
    if (count == 0) return;
    std::memset(room(count), 0, count);
    size_ += count;
  }

 private:
  void grow(std::size_t bytes) {
    std::size_t capacity = capacity_ == 0 ? 4096 : capacity_ * 2;
    while (capacity - size_ < bytes) capacity *= 2;
    auto larger = std::make_unique_for_overwrite<std::byte[]>(capacity);
    if (size_ > 0) std::memcpy(larger.get(), bytes_.get(), size_);
    bytes_ = std::move(larger);
    capacity_ = capacity;
  }

  std::unique_ptr<std::byte[]> bytes_;
  std::size_t capacity_ = 0;
  std::size_t size_ = 0;
};

/// Reads what OutBuffer wrote. What is missing or malformed reads as zero and makes ok() false from then on, so that a
/// stage can be read through and checked once at its end.
class ByteReader {
 public:
  explicit ByteReader(ByteSpan data) : at_(data.data()), end_(data.data() + data.size()) {}

  bool ok() const { return ok_; }
  void fail() { ok_ = false; }
  std::size_t left() const { return static_cast<std::size_t>(end_ - at_); }

  std::uint8_t byte() {
    if (at_ == end_) return failed();
    return static_cast<std::uint8_t>(*at_++);
  }

  std::uint64_t varint() {
    std::uint64_t value = 0;
    for (unsigned shift = 0; shift < 64; shift += 7) {
      if (at_ == end_) return failed();
      const auto part = static_cast<std::uint64_t>(*at_++);
      value |= (part & 0x7f) << shift;
      if (part < 0x80) return shift == 63 && part > 1 ? failed() : value;
    }
    return failed();
  }

  ByteSpan bytes(std::uint64_t count) {
    if (count > left()) {
      fail();
      return {};
    }
    const ByteSpan data(at_, static_cast<std::size_t>(count));
    at_ += count;
    return data;
  }

  template <class T>
  T fixed() {
    const ByteSpan data = bytes(sizeof(T));
    return data.empty() ? T{0} : load_le<T>(data.data());
  }

 private:
  std::uint8_t failed() {
    ok_ = false;
    return 0;
  }

  const std::byte* at_;
  const std::byte* end_;
  bool ok_ = true;
};

}  // namespace tidegate::buffer
