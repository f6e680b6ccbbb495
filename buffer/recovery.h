#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "buffer/epoch_table.h"
#include "buffer/segment_file.h"

namespace tidegate::buffer {

/// Records that are gone from the log, and why ("overflow", "age", "drop-newest", "corruption").
struct Loss {
  SequenceRange range;
  const char* reason = "corruption";
  WallTime from{};
  WallTime to{};
};

/// One stream of the log as it was found.
struct RecoveredStream {
  Stream stream = Stream::readings;
  std::vector<LoadedSegment> segments;    // rising and joined: what the log holds
  std::vector<SegmentFile> spares;        // prepared or recycled
  std::vector<std::uint64_t> rewritten;   // numbers of segments of which a file with a dense name is left
  std::vector<LoadedSegment> superseded;  // all their records stand in later segments
  std::uint64_t next_number = 1;
  std::uint64_t next_sequence = 1;
  std::uint64_t torn_bytes = 0;
  bool damaged = false;  // its end is not where it was
  EpochTable epochs;     // without the one that begins now
  std::vector<Loss> losses;
  std::vector<Loss> dropped;           // on purpose, and not yet recorded as a gap
  std::vector<Loss> dropped_recorded;  // the same, recorded in `events` before `events_end`, perhaps not durably
  std::uint64_t events_end = 0;
  std::vector<QueueMark> marks;
};

/// What open() found in the directory of the log.
struct Recovered {
  LogId log_id{};
  BootId boot_id{};
  std::vector<RecoveredStream> streams;  // by Stream
  RecoveryReport report;
};

/// Makes the directories, reads what is there, puts aside what cannot be used. Content never makes it fail.
Result<Recovered> recover(FileSystem& files, const std::string& log_directory, const LogState& known,
                          std::uint32_t first_epoch);

}  // namespace tidegate::buffer
