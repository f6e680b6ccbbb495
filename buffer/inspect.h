#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "buffer/read_place.h"
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

/// Which records to read: those from one place on that lie before the other, if there is one.
struct ReadRange {
  Stream stream = Stream::readings;
  ReadPlace from;
  std::optional<ReadPlace> to;
};

/// Calls `visit` with every readable batch of the range, cut to it, oldest first, until it returns false.
Result<void> read_log(FileSystem& files, const std::string& log_directory, TagRegistry& tags, const ReadRange& range,
                      const std::function<bool(const RecordBatch&)>& visit);

}  // namespace tidegate::buffer
