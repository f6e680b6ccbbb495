#pragma once

#include <functional>
#include <string>
#include <vector>

#include "core/error.h"
#include "core/file_system.h"
#include "core/record.h"
#include "core/tag.h"

namespace tidegate::buffer {

/// What `tidegate log` shows; works on a directory without the daemon and without its database, and changes nothing.
struct SegmentSummary {
  std::string file;
  Stream stream = Stream::readings;
  std::uint64_t number = 0;
  std::uint64_t bytes_used = 0;
  std::uint64_t frames = 0;
  Position first;
  Position end;
  WallTime time_from{};
  WallTime time_to{};
  std::vector<std::string> damage;  // "offset 81920: body CRC is 1b2c..., should be ..., sequences 120 to 139 lost"
};

Result<std::vector<SegmentSummary>> inspect_log(FileSystem& files, const std::string& log_directory);

/// Calls `visit` with every readable batch of the stream at or behind `from`, oldest first, until it returns false.
Result<void> read_log(FileSystem& files, const std::string& log_directory, TagRegistry& tags, Stream stream,
                      Position from, const std::function<bool(const RecordBatch&)>& visit);

}  // namespace tidegate::buffer
