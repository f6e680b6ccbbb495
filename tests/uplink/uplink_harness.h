#pragma once

#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "core/clock.h"
#include "tests/support/numbered_readings.h"
#include "uplink/forwarder.h"
#include "uplink/transport.h"

namespace tidegate::uplink::testing {

/// A forwarder over a real transport, with a log that holds numbered readings: reading n has sequence n. Everything but
/// the transport runs on the test's thread, inside run_until().
class UplinkHarness {
 public:
  using MakeTransport = std::function<std::unique_ptr<Transport>(TransportHandlers)>;

  UplinkHarness(ForwarderOptions options, tidegate::testing::NumberedReadings readings)
      : readings_(readings), options_(std::move(options)) {}
  ~UplinkHarness() { stop(Duration::zero()); }

  Result<void> start(const MakeTransport& make_transport, const Cursor& cursor = {{1, 0}, {1, 0}}) {
    forwarder_ = std::make_unique<Forwarder>(options_, "gw", tags_, clock_history_, 7);
    for (const Stream stream : kAllStreams) forwarder_->restore(stream, cursor, {});
    TransportHandlers handlers;
    handlers.done = [this](std::uint64_t id, bool ok) { post([this, id, ok] { on_done(id, ok); }); };
    handlers.failed = [this](std::uint64_t id, const BatchFailure& how) {
      post([this, id, how] { on_failed(id, how); });
    };
    handlers.link = [this](bool up, const std::string& detail) {
      post([this, up, detail] {
        details_.push_back(detail);
        on_link(up);
      });
    };
    handlers.placed = [this](const TargetCursor& found) { post([this, found] { on_placed(found); }); };
    handlers.trouble = [this](const std::string& reason) { post([this, reason] { troubles_.push_back(reason); }); };
    transport_ = make_transport(std::move(handlers));
    return transport_->start();
  }
  void stop(Duration grace) {
    if (!transport_) return;
    transport_->stop(grace);
    transport_.reset();
    work_through();
  }

  /// There are records up to `count`.
  void announce(std::uint64_t count) { announced_ = count; }
  std::uint64_t delivered() const { return forwarder_->accounting(Stream::readings).delivered; }
  Cursor cursor() const { return forwarder_->cursor(Stream::readings); }
  std::uint64_t failures() const { return failures_; }
  bool is_up() const { return is_up_; }
  /// What the transport told of trouble, one after the other.
  const std::vector<std::string>& troubles() const { return troubles_; }
  std::string trouble() const { return troubles_.empty() ? "" : troubles_.back(); }
  /// What it told last of a batch that was refused for what it holds.
  const std::string& refusal() const { return refusal_; }
  /// What it said of the link, up and down.
  const std::vector<std::string>& details() const { return details_; }

  bool run_until(const std::function<bool()>& reached, std::chrono::milliseconds patience) {
    const BootTime deadline = clock_.boot_now() + patience;
    for (;;) {
      work_through();
      if (reached()) return true;
      if (clock_.boot_now() > deadline) return false;
      pump();
      std::unique_lock lock(mutex_);
      changed_.wait_for(lock, std::chrono::milliseconds(20), [this] { return !tasks_.empty(); });
    }
  }

 private:
  static constexpr std::uint64_t kFrame = 100;

  void post(std::function<void()> task) {
    const std::lock_guard lock(mutex_);
    tasks_.push_back(std::move(task));
    changed_.notify_all();
  }
  void work_through() {
    std::unique_lock lock(mutex_);
    while (!tasks_.empty()) {
      const auto task = std::move(tasks_.front());
      tasks_.pop_front();
      lock.unlock();
      task();
      lock.lock();
    }
  }
  void on_done(std::uint64_t id, bool ok) { ok ? void(forwarder_->acknowledged(id)) : on_failed(id, {}); }
  void on_failed(std::uint64_t id, const BatchFailure& how) {
    if (!how.refusal.empty()) refusal_ = how.refusal;
    ++failures_;
    forwarder_->failed(id, clock_.boot_now(), how);
  }
  void on_placed(const TargetCursor& cursor) {
    const auto next = cursor.next.find(Stream::readings);
    if (next == cursor.next.end()) return;
    CursorMove move{next->second};
    const std::uint64_t passed = forwarder_->cursor(Stream::readings).passed_to.sequence;
    move.skipped = std::max(move.to.sequence, passed) - passed;
    move.replayed = std::max(move.to.sequence, passed) - move.to.sequence;
    move.is_by_target = true;
    forwarder_->move(Stream::readings, move);
  }
  void on_link(bool up) {
    is_up_ = up;
    up ? forwarder_->link_up(clock_.boot_now()) : forwarder_->link_down(clock_.boot_now());
  }
  void pump() {
    forwarder_->announce(Stream::readings, {1, announced_});
    for (;;) {
      if (const auto demand = forwarder_->demand()) forwarder_->supply(frame(demand->from.sequence), clock_.boot_now());
      const auto batch = forwarder_->next_batch(clock_.boot_now(), clock_.wall_now());
      if (batch) transport_->send(*batch);
      if (!batch && !forwarder_->demand()) return;
    }
  }
  RecordBatch frame(std::uint64_t from) {
    RecordBatch batch;
    batch.epoch = 1;
    batch.first = from;
    batch.times = {clock_.wall_now(), clock_.boot_now(), ClockQuality::synced};
    for (std::uint64_t n = from; n < announced_ && n < from + kFrame; ++n) {
      Reading reading;
      reading.tag = tags_.intern(readings_.tag(n));
      reading.time = WallTime(std::chrono::milliseconds(readings_.time_ms(n)));
      reading.origin = TimeOrigin::source;
      reading.value = n;
      batch.readings.push_back(reading);
    }
    return batch;
  }

  const SystemClock clock_;
  const tidegate::testing::NumberedReadings readings_;
  const ForwarderOptions options_;
  TagRegistry tags_;
  ClockHistory clock_history_;
  std::unique_ptr<Forwarder> forwarder_;
  std::uint64_t announced_ = 0;
  std::uint64_t failures_ = 0;
  bool is_up_ = false;
  std::vector<std::string> troubles_;
  std::string refusal_;
  std::vector<std::string> details_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<std::function<void()>> tasks_;
  std::unique_ptr<Transport> transport_;
};

}  // namespace tidegate::uplink::testing
