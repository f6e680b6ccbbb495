#include "daemon/log_keeper.h"

#include <algorithm>
#include <utility>

namespace tidegate::daemon {

LogKeeper::LogKeeper(buffer::RingLog& log, EventLoop& loop, const Clock& clock)
    : log_(log), loop_(loop), clock_(clock), timer_(loop.make_timer()) {}

void LogKeeper::poke() {
  if (running_) return;
  const BootTime now = clock_.boot_now();
  if (auto job = log_.next_job(now, static_cast<bool>(synced_))) {
    start(std::move(job));
    return;
  }
  if (synced_) {
    const auto done = std::exchange(synced_, {});
    done();
    return;
  }
  if (const auto deadline = log_.next_deadline()) {
    timer_->arm(std::max<Duration>(*deadline - now, std::chrono::microseconds(100)), [this] { poke(); });
  }
}

void LogKeeper::sync_all(std::function<void()> done) {
  synced_ = std::move(done);
  poke();
}

Duration LogKeeper::busy_for() const { return running_ ? clock_.boot_now() - started_ : Duration::zero(); }

void LogKeeper::start(std::unique_ptr<buffer::LogJob> job) {
  running_ = true;
  started_ = clock_.boot_now();
  // std::function wants to copy what it holds, a job can only move.
  auto shared = std::make_shared<std::unique_ptr<buffer::LogJob>>(std::move(job));
  worker_.post([this, shared] {
    (*shared)->run();
    loop_.post([this, shared] { finish(std::move(*shared)); });
  });
}

void LogKeeper::finish(std::unique_ptr<buffer::LogJob> job) {
  running_ = false;
  for (const Duration sync_time : job->sync_times()) count(sync_time);
  const bool moved = log_.finish(std::move(job));
  if (moved && durable_) durable_();
  poke();
}

void LogKeeper::count(Duration sync_time) {
  const double seconds = std::chrono::duration<double>(sync_time).count();
  const auto* const bound = std::lower_bound(kSyncBoundsSeconds.begin(), kSyncBoundsSeconds.end(), seconds);
  ++sync_times_.counts[static_cast<std::size_t>(bound - kSyncBoundsSeconds.begin())];
  sync_times_.sum_seconds += seconds;
}

}  // namespace tidegate::daemon
