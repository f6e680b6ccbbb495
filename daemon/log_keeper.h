#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <memory>
#include <vector>

#include "buffer/ring_log.h"
#include "core/clock.h"
#include "core/record.h"
#include "daemon/event_loop.h"
#include "daemon/worker.h"

namespace tidegate::daemon {

/// Upper bounds of the histogram of fdatasync times, seconds.
inline constexpr std::array<double, 10> kSyncBoundsSeconds{0.001, 0.0025, 0.005, 0.01, 0.025,
                                                           0.05,  0.1,    0.25,  1.0,  5.0};

struct SyncHistogram {
  std::array<std::uint64_t, kSyncBoundsSeconds.size() + 1> counts{};  // the last is beyond all bounds
  double sum_seconds = 0;
};

/// Carries the log's slow work to the log sync thread and back, one job at a time. Core thread.
class LogKeeper {
 public:
  LogKeeper(buffer::RingLog& log, EventLoop& loop, const Clock& clock);

  /// Called on the core thread whenever more has become durable.
  void on_durable(std::function<void()> action) { durable_ = std::move(action); }
  /// Called on the log sync thread before each job. Set once, before the first poke().
  void before_sync(std::function<void()> action) { before_sync_ = std::move(action); }
  /// Starts what is due. Call after appends; keeps its own timer for what becomes due later.
  void poke();
  /// Syncs what is written now, then calls `done` on the core thread: true when it is durable, false when the log says
  /// that it fails. What is appended meanwhile is not waited for. Any number of calls at a time.
  void sync_all(std::function<void(bool ok)> done);
  /// Calls `action` on the core thread while no job is under way, at once or before the next one begins: nothing that
  /// before_sync() looks at is looked at then. One at a time.
  void when_idle(std::function<void()> action);
  /// How long the job under way has been running; zero without one. The watchdog looks at it.
  Duration busy_for() const;
  bool waits_for_disk() const { return worker_.waits_for_disk(); }
  const SyncHistogram& sync_times() const { return sync_times_; }

 private:
  struct Wanted {
    std::array<Position, kStreamCount> ends{};
    std::function<void(bool ok)> done;
  };

  bool is_durable(const Wanted& wanted) const;
  void answer_durable();
  void answer_rest();
  void start(std::unique_ptr<buffer::LogJob> job);
  void finish(std::unique_ptr<buffer::LogJob> job);
  void count(Duration sync_time);

  buffer::RingLog& log_;
  EventLoop& loop_;
  const Clock& clock_;
  std::unique_ptr<Timer> timer_;
  bool running_ = false;
  BootTime started_{};
  std::vector<Wanted> wanted_;
  std::function<void()> durable_;
  std::function<void()> before_sync_;
  std::function<void()> idle_;
  SyncHistogram sync_times_;
  Worker worker_{"log-sync"};  // last: its thread ends before the rest is gone
};

}  // namespace tidegate::daemon
