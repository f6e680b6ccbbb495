#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "buffer/recovery.h"

namespace tidegate::buffer {

/// The readings of a stream that were dropped on purpose, until their gap records are durable. While dropping goes on,
/// what came together since the last record is recorded in intervals that grow, so that a flood of readings is no flood
/// of events. Passive: the log writes the records. Core thread.
class DropLedger {
 public:
  /// What an earlier process left: without a record, and with one in `events` before `events_end` that a power cut may
  /// still take.
  void take_over(std::vector<Loss> unrecorded, std::vector<Loss> recorded, std::uint64_t events_end);
  /// The next readings that are dropped.
  void add(SequenceRange range, WallTime wall, BootTime now);
  /// Dropping goes on.
  bool is_open() const { return open_; }
  /// Readings are kept again: what was dropped is to be recorded now.
  void close();

  /// When unrecorded() is to be recorded; nothing when it is empty.
  std::optional<BootTime> due_at() const;
  const std::vector<Loss>& unrecorded() const { return unrecorded_; }
  /// unrecorded() stands in `events` before the sequence `events_end`.
  void set_recorded(std::uint64_t events_end, BootTime now);
  /// Recording failed: not again before a while.
  void put_off(BootTime now);
  /// `events` is durable up to there.
  void set_durable(std::uint64_t events_durable);

  /// All without a durable record, rising.
  std::vector<Loss> pending() const;
  /// Readings dropped since the log was opened.
  std::uint64_t total() const { return total_; }

 private:
  struct Recorded {
    Loss loss;
    std::uint64_t events_end = 0;
  };
  std::vector<Recorded> recorded_;
  std::vector<Loss> unrecorded_;
  bool open_ = false;
  BootTime due_at_{};
  Duration interval_{};
  std::uint64_t total_ = 0;
};

}  // namespace tidegate::buffer
