#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "buffer/log_appender.h"
#include "buffer/log_contents.h"
#include "buffer/log_upkeep.h"
#include "buffer/options.h"
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

/// Records that went with their segments although an uplink had not passed them, by why the segments went.
struct EvictionLosses {
  std::uint64_t overflow = 0;  // the ring was full
  std::uint64_t age = 0;
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
/// Who only appends, reads or carries its slow work takes that part of it. Core thread, but for run() of jobs and
/// DiskReader. Owns no thread and no timer.
class RingLog : public LogAppender, public LogContents, public LogUpkeep {
 public:
  /// Opens or makes the log. Content of the directory never makes this fail: what cannot be used is put aside and
  /// reported. Errors only for a directory that cannot be written.
  static Result<std::unique_ptr<RingLog>> open(FileSystem& files, const Clock& clock, TagRegistry& tags,
                                               RingLogOptions options, const LogState& known);

  virtual const RecoveryReport& recovery() const = 0;
  /// What the state database has to hold. Save it durably (clean = false) before the first append.
  virtual LogState state() const = 0;
  /// How far earlier queues in front of drivers are taken, from the newest frames.
  virtual std::vector<QueueMark> queue_marks() const = 0;

  /// Every configured uplink that carries the stream has passed this; what lies before it is no loss when it is
  /// evicted. May go back, when one is to be given records again.
  virtual void set_passed(Stream stream, Position passed) = 0;
  virtual StreamFill fill(Stream stream) const = 0;
  /// Records evicted since the log was opened that not every uplink was known to have passed.
  virtual EvictionLosses evicted(Stream stream) const = 0;
  /// Since when the oldest record that is written and not durable is written.
  virtual std::optional<BootTime> undurable_since() const = 0;

  virtual LogCounters counters() const = 0;
  /// Why a stream cannot be written or synced, as long as that lasts.
  virtual std::optional<Error> failure() const = 0;
};

}  // namespace tidegate::buffer
