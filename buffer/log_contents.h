#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "buffer/read_place.h"
#include "core/error.h"
#include "core/record.h"

namespace tidegate::buffer {

enum class ReadStatus : std::uint8_t {
  ready,    // `batch` holds records from the position on
  at_end,   // nothing there yet
  on_disk,  // not in memory: read it by a DiskReader on the storage thread
  gone,     // evicted or damaged: go on at `next`, `lost` records are missing
};

struct ReadOutcome {
  ReadStatus status = ReadStatus::at_end;
  std::shared_ptr<const RecordBatch> batch;
  Position next;
  std::uint64_t lost = 0;
};

/// Reads stored records of one stream as the log was when it was made. For the storage thread; outlives nothing: it
/// holds its own files. A segment that was recycled since reads as `gone`. Keeps its place, so reading on is cheap.
class DiskReader {
 public:
  virtual ~DiskReader() = default;
  /// The frame that holds `from`, or the first behind it. `at_end` at the end of what this reader knows.
  virtual Result<ReadOutcome> read(Position from) = 0;
  /// Where a place is; a time is looked for in the segments' footers and then in one segment, a sequence that is not
  /// given out yet stays as it is, and what is before the oldest record means that one. Nothing for a time when no
  /// record was taken in at it or later.
  virtual Result<std::optional<Position>> find(const ReadPlace& place) = 0;
};

/// Records that a consumer finds gone, and why: "overflow", "corruption", as the gap record says.
struct LostPart {
  Position next;  // behind them
  std::uint64_t lost = 0;
  std::string reason;
};

/// The part of the ring log that gives records out and says where they are. Core thread.
class LogContents {
 public:
  virtual ~LogContents() = default;

  virtual Position oldest(Stream stream) const = 0;
  virtual std::uint64_t stored(Stream stream) const = 0;  // records
  virtual std::uint64_t bytes(Stream stream) const = 0;   // of segments on disk

  virtual ReadOutcome read(Stream stream, Position from) = 0;
  virtual std::unique_ptr<DiskReader> disk_reader(Stream stream) const = 0;
  /// Records of the stream in [from, to), whatever the epochs; what is known to be missing does not count.
  virtual std::uint64_t distance(Stream stream, Position from, Position to) const = 0;

  /// The sequence that a position means; a position behind the end of its epoch means the first of the next one.
  virtual std::uint64_t sequence_of(Stream stream, Position position) const = 0;
  /// The position of a sequence.
  virtual Position position_of(Stream stream, std::uint64_t sequence) const = 0;
  /// Why the records from `from` up to `next` are gone, for an outcome `gone`: parts that follow each other.
  virtual std::vector<LostPart> explain(Stream stream, Position from, Position next) = 0;
  /// What the log does not hold any more, or never did, of the records in [from, to), and why. Parts in order; what it
  /// holds lies between them.
  virtual std::vector<LostPart> missing(Stream stream, Position from, Position to) = 0;
};

}  // namespace tidegate::buffer
