#include "daemon/log_keeper.h"

#include <algorithm>
#include <iterator>
#include <utility>

namespace tidegate::daemon {

LogKeeper::LogKeeper(buffer::RingLog& log, EventLoop& loop, const Clock& clock)
    : log_(log), loop_(loop), clock_(clock), timer_(loop.make_timer()) {}

void LogKeeper::poke() {
  if (running_) return;
  const BootTime now = clock_.boot_now();
  if (auto job = log_.next_job(now, !wanted_.empty())) {
    start(std::move(job));
    return;
  }
  if (!wanted_.empty()) {
    answer_durable();
    answer_rest();
  }
  if (const auto deadline = log_.next_deadline()) {
    timer_->arm(std::max<Duration>(*deadline - now, std::chrono::microseconds(100)), [this] { poke(); });
  }
}

void LogKeeper::sync_all(std::function<void(bool ok)> done) {
  Wanted wanted;
  for (const Stream stream : kAllStreams) wanted.ends[static_cast<std::size_t>(stream)] = log_.end(stream);
  wanted.done = std::move(done);
  wanted_.push_back(std::move(wanted));
  poke();
}

void LogKeeper::when_idle(std::function<void()> action) {
  if (running_) {
    idle_ = std::move(action);
  } else {
    action();
  }
}

bool LogKeeper::is_durable(const Wanted& wanted) const {
  return std::all_of(std::begin(kAllStreams), std::end(kAllStreams), [&](Stream stream) {
    return log_.durable(stream) >= wanted.ends[static_cast<std::size_t>(stream)];
  });
}

// Who is answered may ask again: nothing of the list is touched from then on.
void LogKeeper::answer_durable() {
  const auto waiting =
      std::stable_partition(wanted_.begin(), wanted_.end(), [this](const Wanted& one) { return is_durable(one); });
  std::vector<Wanted> ready(std::make_move_iterator(wanted_.begin()), std::make_move_iterator(waiting));
  wanted_.erase(wanted_.begin(), waiting);
  for (const Wanted& one : ready) one.done(true);
}

void LogKeeper::answer_rest() {
  for (const Wanted& one : std::exchange(wanted_, {})) one.done(false);
}

Duration LogKeeper::busy_for() const { return running_ ? clock_.boot_now() - started_ : Duration::zero(); }

void LogKeeper::start(std::unique_ptr<buffer::LogJob> job) {
  running_ = true;
  started_ = clock_.boot_now();
  // std::function wants to copy what it holds, a job can only move.
  auto shared = std::make_shared<std::unique_ptr<buffer::LogJob>>(std::move(job));
  worker_.post([this, shared] {
    if (before_sync_) before_sync_();
    (*shared)->run();
    loop_.post([this, shared] { finish(std::move(*shared)); });
  });
}

void LogKeeper::finish(std::unique_ptr<buffer::LogJob> job) {
  running_ = false;
  for (const Duration sync_time : job->sync_times()) count(sync_time);
  const bool moved = log_.finish(std::move(job));
  if (moved && durable_) durable_();
  answer_durable();
  if (log_.failure()) answer_rest();
  // Who was answered may have begun the next one.
  if (idle_ && !running_) std::exchange(idle_, nullptr)();
  poke();
}

void LogKeeper::count(Duration sync_time) {
  const double seconds = std::chrono::duration<double>(sync_time).count();
  const auto* const bound = std::lower_bound(kSyncBoundsSeconds.begin(), kSyncBoundsSeconds.end(), seconds);
  ++sync_times_.counts[static_cast<std::size_t>(bound - kSyncBoundsSeconds.begin())];
  sync_times_.sum_seconds += seconds;
}

}  // namespace tidegate::daemon
