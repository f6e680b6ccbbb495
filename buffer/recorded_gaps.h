#pragma once

#include <vector>

#include "buffer/disk_reader.h"
#include "buffer/gap_record.h"

namespace tidegate::buffer {

/// The gaps that the stream `events` records from `from` on. `events` must be a snapshot of that stream.
Result<std::vector<RecordedGap>> read_recorded_gaps(FileSystem& files, LogSnapshot events, Position from);

}  // namespace tidegate::buffer
