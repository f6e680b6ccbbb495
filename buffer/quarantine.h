#pragma once

#include <cstdint>
#include <string>

#include "buffer/segment_file.h"
#include "core/file_system.h"

namespace tidegate::buffer {

inline constexpr std::uint64_t kQuarantineBytesMax = 16ULL << 20;

enum class Copied : std::uint8_t { now, before, failed };

/// What the log puts aside instead of deleting it: copies of damaged ranges in <log>/quarantine (at most
/// kQuarantineBytesMax, oldest removed) and whole files that are not of this log in <log>/foreign.
class Quarantine {
 public:
  Quarantine(FileSystem& files, std::string log_directory) : files_(files), directory_(std::move(log_directory)) {}

  /// Copies [from, to) of the segment, of a longer range than kQuarantineBytesMax the beginning.
  Copied copy(const SegmentIdentity& segment, const File& content, std::uint64_t from, std::uint64_t to);
  /// Moves the file to <log>/foreign; the new path, or why not.
  Result<std::string> put_aside(const std::string& path, Stream stream);

 private:
  void make_room(std::uint64_t bytes);

  FileSystem& files_;
  std::string directory_;
};

}  // namespace tidegate::buffer
