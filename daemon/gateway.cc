#include "daemon/gateway.h"

#include <unistd.h>

#include <algorithm>
#include <utility>

#include "core/log.h"
#include "core/text.h"
#include "daemon/event_record.h"
#include "daemon/stop_uplinks.h"

namespace tidegate::daemon {
namespace {

// After a turn that took in so much, the next one waits this long, so that a stream of single messages is taken in
// bunches: one wake-up, one frame, one batch for dozens of readings. A single reading does not wait.
constexpr Duration kTurnPause = std::chrono::milliseconds(2);
constexpr std::uint64_t kBusyTurn = 8;
constexpr Duration kStallPause = std::chrono::seconds(1);
constexpr int kRoundsPerTurn = 4;
constexpr Duration kStopGrace = std::chrono::seconds(2);
constexpr Duration kLeaveLookEvery = std::chrono::milliseconds(5);
constexpr Duration kStorageLookEvery = std::chrono::seconds(1);
// No disk that works takes this long. Where the kernel says that a thread waits for its disk, a restart would only wait
// again; else the watchdog lets systemd restart us.
constexpr Duration kStuckAfter = std::chrono::minutes(2);

}  // namespace

Gateway::Gateway(Config config, EventLoop& loop, const Clock& clock)
    : config_(std::move(config)),
      loop_(loop),
      clock_(clock),
      started_(clock.boot_now()),
      reserve_(config_.gateway.data_dir + "/reserve"),
      turn_timer_(loop.make_timer()),
      rules_timer_(loop.make_timer()),
      watchdog_timer_(loop.make_timer()),
      storage_timer_(loop.make_timer()) {
  runtime_dir_ = config_.gateway.runtime_dir;
  if (hooks_.plain_queue) runtime_dir_ += "/" + std::to_string(::getpid());
}

Gateway::~Gateway() {
  // Threads end before what they use: transports first, then the log's, which asks the drivers before each sync.
  swap_.reset();  // may wait for uplinks
  uplinks_.clear();
  keeper_.reset();
  tag_writer_.reset();
  pipeline_.reset();
  compactor_.reset();
  storage_.reset();
  checkpointer_.reset();
}

Result<void> Gateway::start() {
  if (auto started = start_parts(); !started) return started;
  checkpointer_->start();
  loop_.on_clock_set([this] { look_at_clock(); });
  ready_ = true;
  service_.ready();
  feed_watchdog();
  look_at_storage();
  wake();
  return {};
}

// What only one process can have comes first: one that finds it taken has not yet taken another's sessions with
// brokers. The log and the admin address are ours by now.
Result<void> Gateway::start_parts() {
  const auto& listeners = config_.mqtt_listeners;
  const auto listens = [&](const Pipeline::Source& source) {
    return std::any_of(listeners.begin(), listeners.end(),
                       [&](const auto& listener) { return listener.name == source.driver->name(); });
  };
  for (const auto& source : pipeline_->sources()) {
    if (!listens(source)) continue;
    if (auto started = source.driver->start(); !started) return started;
  }
  for (const auto& uplink : uplinks_) {
    if (auto started = uplink->start(); !started) return started;
  }
  for (const auto& source : pipeline_->sources()) {
    if (listens(source)) continue;
    if (auto started = source.driver->start(); !started) return started;
  }
  return {};
}

void Gateway::wake() {
  if (!wake_posted_.exchange(true)) loop_.post([this] { on_wake(); });
}

void Gateway::on_wake() {
  if (stopping_) return;
  if (!hooks_.hold_file.empty() && ::access(hooks_.hold_file.c_str(), F_OK) == 0) {
    turn_timer_->arm(kTurnPause, [this] { on_wake(); });
    return;
  }
  clock_watch_->look();  // a step stands before what is taken in after it
  const std::uint64_t taken = pipeline_->taken();
  for (int round = 0; round < kRoundsPerTurn && pipeline_->turn();) ++round;
  after_turn();
  if (pipeline_->is_stalled()) return;
  if (pipeline_->taken() - taken >= kBusyTurn) {
    turn_timer_->arm(kTurnPause, [this] { on_wake(); });
  } else {
    // From here on a wake posts again; what came in just before is taken now.
    wake_posted_ = false;
    if (pipeline_->turn()) {
      after_turn();
      wake();
    }
  }
}

void Gateway::after_turn() {
  keeper_->poke();
  for (const auto& uplink : uplinks_) uplink->pump();
  if (latest_) latest_->report();
  arm_rules_timer();
  // What the log refused is tried again, whoever brought it: a driver, a rule's delay, an event.
  if (!pipeline_->is_stalled()) return;
  // Whatever else comes in the meantime does not put it off.
  const BootTime now = clock_.boot_now();
  if (retry_at_ <= now) retry_at_ = now + kStallPause;
  turn_timer_->arm(retry_at_ - now, [this] { on_wake(); });
}

Result<void> Gateway::change_alarms(const Pipeline::AlarmAction& action) {
  auto done = pipeline_->change_alarms(action);
  after_turn();
  return done;
}

void Gateway::arm_rules_timer() {
  const auto deadline = pipeline_->next_deadline();
  if (!deadline) return;
  const Duration wait = std::max<Duration>(*deadline - clock_.boot_now(), std::chrono::milliseconds(1));
  rules_timer_->arm(wait, [this] {
    if (stopping_) return;
    pipeline_->tick();
    after_turn();
  });
}

bool Gateway::makes_progress() const {
  return keeper_->busy_for() < kStuckAfter && checkpointer_->busy_for() < kStuckAfter;
}

bool Gateway::is_stuck() const {
  const bool log_stuck = keeper_->busy_for() >= kStuckAfter && !keeper_->waits_for_disk();
  return log_stuck || (checkpointer_->busy_for() >= kStuckAfter && !storage_->waits_for_disk());
}

void Gateway::look_at_clock() {
  if (stopping_) return;
  clock_watch_->look();
  after_turn();
}

void Gateway::look_at_storage() {
  if (stopping_) return;
  clock_watch_->look();
  storage_watch_->look({checkpointer_->failure(), std::max(keeper_->busy_for(), checkpointer_->busy_for())});
  space_keeper_->look();
  tag_writer_->look();
  after_turn();
  storage_timer_->arm(kStorageLookEvery, [this] { look_at_storage(); });
}

void Gateway::feed_watchdog() {
  const auto interval = service_.watchdog_interval();
  if (!interval) return;
  if (is_stuck()) {
    log_error("gateway", "a thread for the disk is stuck: the watchdog is not fed");
  } else {
    service_.feed_watchdog();
  }
  watchdog_timer_->arm(*interval, [this] { feed_watchdog(); });
}

// A driver whose thread waits for room in its queue can end only when the queue has been taken: stop and take in turns.
void Gateway::stop_drivers() {
  const BootTime deadline = clock_.boot_now() + kStopGrace;
  bool any = true;
  while (any && clock_.boot_now() < deadline) {
    any = false;
    for (auto& source : pipeline_->sources()) source.driver->stop();
    while (pipeline_->turn()) any = true;
  }
}

UplinkRunner* Gateway::find_uplink(std::string_view name) const {
  const auto found =
      std::find_if(uplinks_.begin(), uplinks_.end(), [&](const auto& one) { return one->name() == name; });
  return found == uplinks_.end() ? nullptr : found->get();
}

std::string Gateway::no_uplink(std::string_view name) const {
  std::string known;
  for (const auto& uplink : uplinks_) known += " " + uplink->name();
  return "no uplink " + clip(name) + "; there are:" + (known.empty() ? " none" : known);
}

void Gateway::stop() {
  if (stopping_) return;
  service_.stopping();
  log_info("gateway", "stopping");
  reloader_->stop();
  stop_drivers();
  stopping_ = true;
  ready_ = false;
  compactor_->stop();
  pipeline_->record_event(event_record("stop", clock_.wall_now(), {{"gateway", config_.gateway.id}}));
  after_turn();
  stop_uplinks(uplinks_, kStopGrace);
  // What the transports reported on their way out is in the loop's queue before this.
  loop_.post([this] { finish_stop(); });
}

void Gateway::close() {
  reloader_->stop();
  stopping_ = true;
  for (const auto& source : pipeline_->sources()) source.driver->stop();
  for (const auto& uplink : uplinks_) uplink->begin_stop();
  compactor_->stop();
  finish_stop();
}

void Gateway::finish_stop() {
  keeper_->sync_all([this](bool synced) {
    // A sync may write gap records itself; nothing else is appended any more.
    if (synced && !checkpointer_->is_all_durable()) return finish_stop();
    checkpointer_->save_last([this](bool ok) {
      if (!ok) log_error("gateway", "stopped without saving the cursors: some records will be sent again");
      end_when_left();
    });
  });
}

// The last acknowledgements may be on their way still.
void Gateway::end_when_left() {
  const auto& sources = pipeline_->sources();
  const bool is_left = std::none_of(sources.begin(), sources.end(),
                                    [](const Pipeline::Source& source) { return source.driver->is_leaving(); });
  if (is_left) return loop_.stop();
  turn_timer_->arm(kLeaveLookEvery, [this] { end_when_left(); });
}

}  // namespace tidegate::daemon
