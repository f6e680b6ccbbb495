#pragma once

#include <cstdint>
#include <string_view>

namespace tidegate {

/// Writes lines to a descriptor, and never waits long for who reads it: what does not fit into a pipe or a socket that
/// nobody empties is left out and counted. A log collector that hangs must not hold up the gateway. One thread at a
/// time.
class PatientWriter {
 public:
  /// The descriptor stays open.
  explicit PatientWriter(int fd) : fd_(fd) {}

  /// Whether a line of at most 4,096 bytes can be written without waiting. If not, it counts as left out.
  bool has_room();
  void write(std::string_view line);
  /// How many lines were left out since the last call.
  std::uint64_t take_left_out();

 private:
  int fd_;
  std::uint64_t left_out_ = 0;
};

}  // namespace tidegate
