#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "buffer/ring_log.h"
#include "buffer/space_reserve.h"
#include "buffer/state_store.h"
#include "core/clock.h"
#include "core/clock_history.h"
#include "core/file_system.h"
#include "core/plausible_clock.h"
#include "core/tag.h"
#include "daemon/checkpointer.h"
#include "daemon/clock_records.h"
#include "daemon/clock_watch.h"
#include "daemon/compactor.h"
#include "daemon/config/config.h"
#include "daemon/dead_letters.h"
#include "daemon/event_loop.h"
#include "daemon/latest_table.h"
#include "daemon/log_keeper.h"
#include "daemon/part_maker.h"
#include "daemon/part_swap.h"
#include "daemon/pipeline.h"
#include "daemon/reloader.h"
#include "daemon/replay.h"
#include "daemon/service_manager.h"
#include "daemon/space_keeper.h"
#include "daemon/storage_watch.h"
#include "daemon/tag_writer.h"
#include "daemon/test_hooks.h"
#include "daemon/uplink_runner.h"
#include "daemon/worker.h"

namespace tidegate::daemon {

/// The composition root: makes every part from the configuration, starts them, keeps them going, stops them in order.
/// Everything runs on the core thread; only wake() may be called from others.
class Gateway {
 public:
  Gateway(Config config, EventLoop& loop, const Clock& clock);
  ~Gateway();
  Gateway(const Gateway&) = delete;
  Gateway& operator=(const Gateway&) = delete;

  /// Opens data directory, state and log, restores rules and cursors, makes drivers and uplinks.
  Result<void> open();
  /// Starts drivers and uplinks; from here on readings are taken in.
  Result<void> start();
  /// Ends drivers, makes everything durable, saves the cursors, stops the loop.
  void stop();
  /// The same for one that could not be started, so that the next start finds a clean end. Nothing more is taken in.
  void close();

  bool is_ready() const { return ready_; }
  /// See Pipeline::change_alarms.
  Result<void> change_alarms(const Pipeline::AlarmAction& action);
  /// See Pipeline::set_watcher.
  void set_watcher(PipelineWatcher* watcher) { pipeline_->set_watcher(watcher); }
  /// Whether the pipeline makes progress: nothing that feeds it or is fed by it has been stuck for long.
  bool makes_progress() const;

  const Config& configuration() const { return config_; }
  const Clock& clock() const { return clock_; }
  EventLoop& loop() { return loop_; }
  Worker& storage() { return *storage_; }
  buffer::RingLog& log() { return *log_; }
  const buffer::RingLog& log() const { return *log_; }
  const TagRegistry& tags() const { return tags_; }
  const Pipeline& pipeline() const { return *pipeline_; }
  const std::vector<std::unique_ptr<UplinkRunner>>& uplinks() const { return uplinks_; }
  UplinkRunner* find_uplink(std::string_view name) const;
  /// That there is none of that name, and which there are.
  std::string no_uplink(std::string_view name) const;
  const ClockWatch& clock_watch() const { return *clock_watch_; }
  const StorageWatch& storage_watch() const { return *storage_watch_; }
  const LogKeeper& keeper() const { return *keeper_; }
  const Checkpointer& checkpointer() const { return *checkpointer_; }
  Replay& replay() { return *replay_; }
  const TagWriter& tag_writer() const { return *tag_writer_; }
  Reloader& reloader() { return *reloader_; }
  const Reloader& reloader() const { return *reloader_; }
  DeadLetters& dead_letters() { return *dead_letters_; }
  const DeadLetters& dead_letters() const { return *dead_letters_; }
  BootTime started() const { return started_; }

 private:
  Result<void> open_log();
  Result<void> start_parts();
  void make_maker(const buffer::Checkpoint& saved);
  Result<void> make_drivers();
  void make_reloader();
  void make_dead_letters();
  void restore_rules(const std::string& packed);
  void report_opening(const buffer::Checkpoint& saved);
  void show_latest(const Config& config);
  drivers::DriverContext driver_context();

  void wake();
  void on_wake();
  void after_turn();
  void arm_rules_timer();
  bool is_stuck() const;
  void feed_watchdog();
  void look_at_storage();
  void look_at_clock();
  void stop_drivers();
  void finish_stop();
  void end_when_left();

  Config config_;
  const TestHooks hooks_ = TestHooks::from_environment();
  std::string runtime_dir_;
  EventLoop& loop_;
  PlausibleClock clock_;
  ServiceManager service_;
  BootTime started_;
  BootId boot_id_{};
  PosixFileSystem disk_;
  buffer::SpaceReserve reserve_;
  buffer::ReservingFileSystem files_{disk_, reserve_};
  ClockHistory clock_history_;
  StartMarks start_marks_;
  TagRegistry tags_;
  std::unique_ptr<buffer::DataDirectory> data_directory_;
  std::unique_ptr<buffer::StateStore> store_;
  std::unique_ptr<buffer::RingLog> log_;
  std::unique_ptr<LatestTable> latest_;  // null: nobody may watch
  std::unique_ptr<Pipeline> pipeline_;
  std::unique_ptr<TagWriter> tag_writer_;
  std::vector<std::unique_ptr<UplinkRunner>> uplinks_;
  std::unique_ptr<Worker> storage_;
  std::unique_ptr<LogKeeper> keeper_;
  std::unique_ptr<Compactor> compactor_;
  std::unique_ptr<Checkpointer> checkpointer_;
  std::unique_ptr<StorageWatch> storage_watch_;
  std::unique_ptr<SpaceKeeper> space_keeper_;
  std::unique_ptr<ClockWatch> clock_watch_;
  std::unique_ptr<ClockRecords> clock_records_;
  std::unique_ptr<Replay> replay_;
  std::unique_ptr<DeadLetters> dead_letters_;
  std::unique_ptr<PartMaker> maker_;
  std::unique_ptr<PartSwap> swap_;
  std::unique_ptr<Reloader> reloader_;
  const std::unique_ptr<Timer> turn_timer_;
  const std::unique_ptr<Timer> rules_timer_;
  const std::unique_ptr<Timer> watchdog_timer_;
  const std::unique_ptr<Timer> storage_timer_;
  std::atomic<bool> wake_posted_{false};
  BootTime retry_at_{};  // of what the log refused
  bool ready_ = false;
  bool stopping_ = false;
};

}  // namespace tidegate::daemon
