#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "mqtt/packet.h"

namespace tidegate::mqtt {

/// Longest text and longest run of binary data: two bytes of length (section 1.5.4).
inline constexpr std::size_t kTextBytesMax = 65535;
/// Largest number that a variable byte integer holds (section 1.5.5).
inline constexpr std::uint32_t kVariableMax = 268'435'455;

/// Reads the data types of section 1.5. What is missing or malformed reads as empty and makes ok() false from then on,
/// so that a packet can be read through and checked once at its end.
class WireReader {
 public:
  explicit WireReader(std::string_view data) : rest_(data) {}

  bool ok() const { return problem_ == nullptr; }
  /// What was wrong first; null while all is well.
  const char* problem() const { return problem_; }
  void fail(const char* problem) {
    if (ok()) problem_ = problem;
    rest_ = {};
  }
  bool at_end() const { return rest_.empty(); }
  std::size_t left() const { return rest_.size(); }

  std::uint8_t byte();
  std::uint16_t two_bytes();
  std::uint32_t four_bytes();
  std::uint32_t variable();
  /// Length and that many bytes.
  std::string_view binary();
  /// UTF-8 without U+0000.
  std::string_view text();
  /// All that is left.
  std::string_view rest();
  /// The next `count` bytes.
  std::string_view take(std::size_t count);

 private:
  std::string_view rest_;
  const char* problem_ = nullptr;
};

/// Appends the data types of section 1.5 to a buffer that the caller reuses.
class WireWriter {
 public:
  explicit WireWriter(std::string& out) : out_(out) {}

  void byte(std::uint8_t value) { out_.push_back(static_cast<char>(value)); }
  void two_bytes(std::uint16_t value);
  void four_bytes(std::uint32_t value);
  void variable(std::uint32_t value);
  /// At most kTextBytesMax bytes.
  void binary(std::string_view data);
  void bytes(std::string_view data) { out_.append(data); }

 private:
  std::string& out_;
};

std::size_t variable_bytes(std::uint32_t value);

/// Where a block of properties stands; each allows others (table 2-4).
enum class PropertyPlace : std::uint16_t {
  connect = 1U << 0,
  connack = 1U << 1,
  publish = 1U << 2,
  ack = 1U << 3,
  subscribe = 1U << 4,
  suback = 1U << 5,
  unsubscribe = 1U << 6,
  disconnect = 1U << 7,
  will = 1U << 8,
};

Properties read_properties(WireReader& reader, PropertyPlace place);
void write_properties(WireWriter& writer, const Properties& properties);
/// What write_properties will write.
std::size_t properties_bytes(const Properties& properties);

}  // namespace tidegate::mqtt
