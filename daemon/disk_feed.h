#pragma once

#include <functional>
#include <memory>
#include <vector>

#include "buffer/log_contents.h"
#include "daemon/clock_records.h"
#include "daemon/event_loop.h"
#include "daemon/worker.h"

namespace tidegate::daemon {

/// Reads one stream's stored records for one consumer on the storage thread, some frames ahead a request. What their
/// times depend on is in the clock history before they are given out, where `clock` is given. Core thread; one request
/// at a time. The storage worker, the loop and the clock's records outlive it.
class DiskFeed {
 public:
  using Outcomes = std::vector<buffer::ReadOutcome>;
  using Done = std::function<void(Result<Outcomes>)>;

  DiskFeed(const buffer::LogContents& log, Stream stream, Worker& storage, EventLoop& loop,
           ClockRecords* clock = nullptr);
  ~DiskFeed();
  DiskFeed(const DiskFeed&) = delete;
  DiskFeed& operator=(const DiskFeed&) = delete;

  bool busy() const { return busy_; }
  /// Reads from `from` on; `done` gets at least one outcome, in order, on the core thread.
  void read(Position from, Done done);
  /// Called now and then: closes its files, and frees what it read them by, once nothing has been read for kKeptFor.
  void let_go_unused(BootTime now);

  static constexpr Duration kKeptFor = std::chrono::seconds(10);

 private:
  void take(const std::shared_ptr<Result<Outcomes>>& outcomes, const Done& done);

  // Shared with the job under way, which may outlive the feed.
  struct Reader;

  const buffer::LogContents& log_;
  Stream stream_;
  Worker& storage_;
  EventLoop& loop_;
  ClockRecords* clock_;
  std::shared_ptr<Reader> reader_;
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
  bool busy_ = false;
  bool stale_ = true;      // the reader's picture of the log ended: make a new one
  bool was_used_ = false;  // since let_go_unused() looked
  BootTime unused_since_{};
};

}  // namespace tidegate::daemon
