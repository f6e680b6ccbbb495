#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "buffer/ring_log.h"
#include "buffer/space_reserve.h"
#include "buffer/state_store.h"
#include "core/clock.h"
#include "daemon/event_loop.h"
#include "daemon/pipeline.h"
#include "daemon/rules_state.h"
#include "daemon/storage_watch.h"
#include "daemon/uplink_runner.h"
#include "daemon/worker.h"

namespace tidegate::daemon {

/// Saves cursors, accounts, the log's durable mark and (less often, because it is larger) the rules' state, each with
/// the position it belongs to, in one transaction on the storage thread. Only what an uplink has durably passed is
/// given back to the log for eviction. Core thread.
class Checkpointer {
 public:
  struct Parts {
    buffer::RingLog* log = nullptr;
    buffer::StateStore* store = nullptr;
    Pipeline* pipeline = nullptr;
    std::vector<std::unique_ptr<UplinkRunner>>* uplinks = nullptr;
    EventLoop* loop = nullptr;
    Worker* storage = nullptr;
    const StorageWatch* watch = nullptr;
    buffer::SpaceReserve* reserve = nullptr;
    const Clock* clock = nullptr;
  };

  /// `rules` is what is saved of the rules now, and stays so until there is something newer.
  Checkpointer(Parts parts, std::string rules);

  /// Saves soon, then less and less often, and at last every second, when something has changed.
  void start();
  /// While held, nothing is saved but by save_now() and save_last().
  void hold(bool held) { held_ = held; }
  /// Saves what is now, then calls `done`.
  void save_now(std::function<void(bool ok)> done) { save(collect(), std::move(done)); }
  /// Saves everything with the mark of a clean stop, then calls `done`.
  void save_last(std::function<void(bool ok)> done);
  bool is_all_durable() const;
  /// Tells the log what all uplinks have durably passed: evicting that is no loss. Before the first save these are the
  /// cursors that were restored; a configured uplink without one has passed nothing.
  void report_passed(const std::vector<buffer::StoredCursor>& cursors);
  /// Not empty while saving fails.
  const std::string& failure() const { return failure_; }
  Duration busy_for() const;

 private:
  void tick();
  void take_rules();
  void save(buffer::Checkpoint checkpoint, std::function<void(bool ok)> done);
  buffer::Checkpoint collect();
  void note_result(const std::string& failure);
  std::vector<std::uint64_t> signature() const;

  Parts parts_;
  std::unique_ptr<Timer> timer_;
  Duration interval_{};
  std::vector<std::uint64_t> saved_signature_;
  std::string rules_;  // what is saved
  // Waits until the readings and alarms that it counts as done are durable: else a power cut could take them back,
  // and an alarm would be forgotten.
  std::optional<RulesState> rules_next_;
  BootTime rules_taken_{};
  int saves_ = 0;  // under way
  bool held_ = false;
  BootTime saving_since_{};  // the first of them
  std::string failure_;
};

}  // namespace tidegate::daemon
