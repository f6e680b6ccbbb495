#pragma once

#include <memory>
#include <optional>
#include <span>

#include "core/time.h"

namespace tidegate::buffer {

/// Slow work of the log: fdatasync, making and reserving segments, removing old ones. Made by LogUpkeep::next_job on
/// the core thread, run() on the log sync thread, given back by LogUpkeep::finish on the core thread.
class LogJob {
 public:
  virtual ~LogJob() = default;
  virtual void run() = 0;
  /// How long each fdatasync of frames took, once run() has returned.
  virtual std::span<const Duration> sync_times() const = 0;
};

/// Rewriting one sealed segment. Made by LogUpkeep::next_rewrite on the core thread, run on the storage thread, given
/// back by LogUpkeep::finish_rewrite on the core thread. One that is not given back leaves a file that the next start
/// removes.
class RewriteJob {
 public:
  virtual ~RewriteJob() = default;
  /// A part of the work, some milliseconds of it or one fdatasync. True when nothing is left to do.
  virtual bool run_slice() = 0;
};

/// The part of the ring log that somebody with threads has to carry its slow work for. Core thread.
class LogUpkeep {
 public:
  virtual ~LogUpkeep() = default;

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
};

}  // namespace tidegate::buffer
