#pragma once

#include <functional>
#include <memory>

#include "buffer/log_upkeep.h"
#include "daemon/event_loop.h"
#include "daemon/worker.h"

namespace tidegate::daemon {

/// Carries the rewriting of sealed segments to the storage thread and back, a slice at a time, so that reads and
/// checkpoints get their turns in between. Core thread. The log, the worker and the loop outlive it.
class Compactor {
 public:
  Compactor(buffer::LogUpkeep& log, Worker& storage, EventLoop& loop) : log_(log), storage_(storage), loop_(loop) {}
  ~Compactor() { *alive_ = false; }
  Compactor(const Compactor&) = delete;
  Compactor& operator=(const Compactor&) = delete;

  /// Called when a segment is rewritten: the log has a job then.
  void on_rewritten(std::function<void()> action) { rewritten_ = std::move(action); }
  /// Starts the next segment if there is one. Call when more has become durable.
  void poke();
  /// Nothing more is begun or gone on with.
  void stop() { stopped_ = true; }

 private:
  using Job = std::shared_ptr<std::unique_ptr<buffer::RewriteJob>>;
  void run_slice(Job job);
  void finish(const Job& job);

  buffer::LogUpkeep& log_;
  Worker& storage_;
  EventLoop& loop_;
  std::function<void()> rewritten_;
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
  bool running_ = false;
  bool stopped_ = false;
};

}  // namespace tidegate::daemon
