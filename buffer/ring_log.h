#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "buffer/options.h"
#include "buffer/read_place.h"
#include "core/clock.h"
#include "core/file_system.h"
#include "core/record.h"
#include "core/tag.h"

namespace tidegate::buffer {

using LogId = std::array<std::uint8_t, 16>;

/// The stretch of sequences that an epoch gave out in one stream; `last` is first - 1 when it gave none.
struct EpochRange {
  Stream stream = Stream::readings;
  std::uint32_t epoch = 0;
  std::uint64_t first = 0;
  std::uint64_t last = 0;
};

/// Readings that were dropped on purpose, and whose gap record may not be durable yet.
struct DroppedRange {
  Stream stream = Stream::readings;
  std::uint32_t epoch = 0;
  std::uint64_t first = 0;
  std::uint64_t last = 0;
  WallTime from{};
  WallTime to{};
  bool operator==(const DroppedRange&) const = default;
};

/// What the state database knows of the log. It may lag behind the segments, never lead.
struct LogState {
  LogId log_id{};  // all zero: unknown
  std::uint32_t epoch = 0;
  bool clean = false;                            // the last stop closed the log in order
  std::array<Position, kStreamCount> durable{};  // durable mark: behind the last record known to be synced
  std::vector<EpochRange> epochs;
  std::vector<DroppedRange> dropped;
};

/// What open() found and did, for one event and the log.
struct RecoveryReport {
  bool fresh = false;  // there was no log
  bool clean = false;
  std::uint32_t epoch = 0;
  std::optional<WallTime> newest;     // the latest time by the wall clock that any frame says
  std::uint64_t torn_bytes = 0;       // a tail that was never durable, dropped
  std::vector<std::string> findings;  // damage, foreign files, quarantined ranges: a sentence each
};

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

/// Slow work of the log: fdatasync, making and reserving segments, removing old ones. Made by RingLog::next_job on the
/// core thread, run() on the log sync thread, given back by RingLog::finish on the core thread.
class LogJob {
 public:
  virtual ~LogJob() = default;
  virtual void run() = 0;
  /// How long each fdatasync of frames took, once run() has returned.
  virtual std::span<const Duration> sync_times() const = 0;
};

/// Rewriting one sealed segment. Made by RingLog::next_rewrite on the core thread, run on the storage thread, given
/// back by RingLog::finish_rewrite on the core thread. One that is not given back leaves a file that the next start
/// removes.
class RewriteJob {
 public:
  virtual ~RewriteJob() = default;
  /// A part of the work, some milliseconds of it or one fdatasync. True when nothing is left to do.
  virtual bool run_slice() = 0;
};

struct LogCounters {
  std::uint64_t written_bytes = 0;
  std::uint64_t frames = 0;
  std::uint64_t syncs = 0;
  std::uint64_t sync_failures = 0;
  std::uint64_t rewritten_segments = 0;
  std::uint64_t rewritten_from_bytes = 0;  // what they took before, and now
  std::uint64_t rewritten_to_bytes = 0;
  Duration last_sync{};
  Duration undurable_worst{};  // the oldest that a written record has become before it was durable
};

/// How much of a stream's ring holds records that not every uplink has passed.
struct StreamFill {
  std::uint64_t unpassed_bytes = 0;
  std::uint64_t capacity_bytes = 0;  // what fits before records are lost or refused
  bool is_full = false;              // new records are being dropped or refused

  double ratio() const {
    return capacity_bytes == 0 ? 0 : static_cast<double>(unpassed_bytes) / static_cast<double>(capacity_bytes);
  }
};

/// The durable ring log: three streams of frames in segments, one writer. docs/ring-log-format.md has the bytes.
///
/// Written: append() returned; the records survive SIGKILL. Durable: durable() is behind them. Frames are never
/// changed; after a sync the next frame begins on a new 4 KiB block. When a stream is at its size, its oldest segment
/// goes; what an uplink had not passed of it is first recorded as a gap in the stream `events`. The other policies keep
/// what is not passed: new readings are then dropped, which is recorded too, or refused.
///
/// Core thread, but for run() of jobs and DiskReader. Owns no thread and no timer.
class RingLog {
 public:
  /// Opens or makes the log. Content of the directory never makes this fail: what cannot be used is put aside and
  /// reported. Errors only for a directory that cannot be written.
  static Result<std::unique_ptr<RingLog>> open(FileSystem& files, const Clock& clock, TagRegistry& tags,
                                               RingLogOptions options, const LogState& known);
  virtual ~RingLog() = default;

  virtual const RecoveryReport& recovery() const = 0;
  /// What the state database has to hold. Save it durably (clean = false) before the first append.
  virtual LogState state() const = 0;
  /// How far earlier queues in front of drivers are taken, from the newest frames.
  virtual std::vector<QueueMark> queue_marks() const = 0;

  /// Writes one or more frames with these records; returns the position of the first. At most 64 Ki readings a call.
  /// An error means that nothing of it was written; `full` and `retry` may pass. Readings that are dropped on purpose
  /// (dropped() grows) take their sequences and are no error.
  virtual Result<Position> append(std::span<const Reading> readings, const FrameTimes& times,
                                  std::span<const QueueMark> marks) = 0;
  /// The same for `alarms` and `events`; each document is one JSON object without "seq".
  virtual Result<Position> append(Stream stream, std::span<const std::string> documents, const FrameTimes& times) = 0;

  virtual Position oldest(Stream stream) const = 0;
  virtual Position end(Stream stream) const = 0;          // behind the last written record
  virtual Position durable(Stream stream) const = 0;      // behind the last durable record
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

  /// Every configured uplink that carries the stream has passed this; what lies before it is no loss when it is
  /// evicted. May go back, when one is to be given records again.
  virtual void set_passed(Stream stream, Position passed) = 0;
  virtual StreamFill fill(Stream stream) const = 0;
  /// Readings dropped on purpose since the log was opened.
  virtual std::uint64_t dropped() const = 0;
  /// Since when the oldest record that is written and not durable is written.
  virtual std::optional<BootTime> undurable_since() const = 0;

  /// Work that is due, if none is under way. With `sync_now` everything written is synced whatever the policy.
  virtual std::unique_ptr<LogJob> next_job(BootTime now, bool sync_now) = 0;
  /// Takes the result of a job in. Returns whether any durable position has moved.
  virtual bool finish(std::unique_ptr<LogJob> job) = 0;
  /// When next_job() will have something, if nothing more is appended.
  virtual std::optional<BootTime> next_deadline() const = 0;

  /// A sealed segment that may be worth rewriting, if there is one and none is under way. What was rewritten takes the
  /// place of the old file in a job of next_job(); readers do not notice.
  virtual std::unique_ptr<RewriteJob> next_rewrite() = 0;
  virtual void finish_rewrite(std::unique_ptr<RewriteJob> job) = 0;

  virtual LogCounters counters() const = 0;
  /// Why a stream cannot be written or synced, as long as that lasts.
  virtual std::optional<Error> failure() const = 0;
};

}  // namespace tidegate::buffer
