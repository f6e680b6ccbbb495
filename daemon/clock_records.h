#pragma once

#include <functional>
#include <vector>

#include "buffer/log_contents.h"
#include "core/clock_history.h"
#include "daemon/event_loop.h"
#include "daemon/worker.h"

namespace tidegate::daemon {

/// Brings into the clock history what the log's events say of it. The whole stream is read, so it is done once and only
/// when it matters: when a consumer meets records from before this process whose clock was not synced. Read on the
/// storage thread, everything else on the core thread. Log, worker and loop outlive it.
class ClockRecords {
 public:
  struct Parts {
    const buffer::LogContents* log = nullptr;
    ClockHistory* history = nullptr;
    Worker* storage = nullptr;
    EventLoop* loop = nullptr;
    BootTime started{};  // this process
  };

  explicit ClockRecords(Parts parts) : parts_(parts) {}
  ~ClockRecords() { *alive_ = false; }
  ClockRecords(const ClockRecords&) = delete;
  ClockRecords& operator=(const ClockRecords&) = delete;

  /// Whether the records' times may depend on events that were not read yet.
  bool is_needed_for(const RecordBatch& batch) const;
  /// `done` is called when the history has them, or when they cannot be read now, which is said in the log.
  void read(std::function<void()> done);

 private:
  using Found = Result<std::vector<ClockAnchor>>;
  static Found read_events(buffer::DiskReader& reader, Position from);
  void finish(const Found& found);

  Parts parts_;
  bool known_ = false;
  std::vector<std::function<void()>> waiting_;
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
};

}  // namespace tidegate::daemon
