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
      reserve_(config_.gateway.data_dir + "/reserve") {
  if (hooks_.plain_queue) config_.gateway.runtime_dir += "/" + std::to_string(::getpid());
}

Gateway::~Gateway() {
  // Threads end before what they use: transports first, then the log's, which asks the drivers before each sync.
  uplinks_.clear();
  keeper_.reset();
  tag_writer_.reset();
  pipeline_.reset();
  compactor_.reset();
  storage_.reset();
  checkpointer_.reset();
}

// Unchanged rules keep their state. A changed rule begins anew with its alarms still raised; those of a rule that is
// gone are cleared, because nothing else ever would.
void Gateway::replace_rules(const std::vector<rules::RuleOptions>& rules) {
  const rules::RuleEngine& before = pipeline_->rules();
  auto engine = std::make_unique<rules::RuleEngine>(rules, tags_);
  if (const auto restored = engine->restore(before.save()); !restored) {
    log_warning("rules", "{}", restored.error().message);
  }
  std::vector<rules::AlarmTransition> cleared;
  for (const auto& alarm : before.active()) {
    const bool kept = std::any_of(rules.begin(), rules.end(), [&](const auto& rule) {
      return rule.name == alarm.raised.rule && std::any_of(rule.tags.begin(), rule.tags.end(), [&](const auto& glob) {
               return glob_matches(glob, alarm.raised.tag);
             });
    });
    if (kept) {
      engine->observe_logged(alarm.raised);
      continue;
    }
    rules::AlarmTransition gone = alarm.raised;
    gone.state = rules::AlarmState::cleared;
    gone.message = "rule " + gone.rule + " was taken out of the configuration";
    gone.time = clock_.wall_now();
    cleared.push_back(std::move(gone));
  }
  for (rules::AlarmTransition& gone : before.shelved()) {
    const auto kept = engine->shelved();
    const auto is_same = [&gone](const auto& one) { return one.alarm == gone.alarm; };
    if (std::any_of(kept.begin(), kept.end(), is_same)) continue;
    gone.state = rules::AlarmState::unshelved;
    gone.is_raised = false;
    gone.by.clear();
    gone.note = "rule " + gone.rule + " was taken out of the configuration";
    gone.time = clock_.wall_now();
    cleared.push_back(std::move(gone));
  }
  pipeline_->set_rules(std::move(engine), log_->end(Stream::readings));
  pipeline_->record_alarms(cleared);
  config_.rules = rules;
}

Result<void> Gateway::start() {
  turn_timer_ = loop_.make_timer();
  rules_timer_ = loop_.make_timer();
  watchdog_timer_ = loop_.make_timer();
  storage_timer_ = loop_.make_timer();
  for (const auto& uplink : uplinks_) {
    if (auto started = uplink->start(); !started) return started;
  }
  for (auto& source : pipeline_->sources()) {
    if (auto started = source.driver->start(); !started) return started;
  }
  checkpointer_->start();
  loop_.on_clock_set([this] { look_at_clock(); });
  ready_ = true;
  service_.ready();
  feed_watchdog();
  look_at_storage();
  wake();
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

// What users may do goes by their names: a new list beside the rights of before could give somebody more than either.
void Gateway::take_users(const Config& config) {
  for (drivers::MqttListenerOptions& ours : config_.mqtt_listeners) {
    const auto& listeners = config.mqtt_listeners;
    const auto wanted = std::find_if(listeners.begin(), listeners.end(),
                                     [&](const auto& listener) { return listener.name == ours.name; });
    if (wanted == listeners.end() || wanted->users == ours.users) continue;
    if (wanted->users.empty() || ours.users.empty()) continue;  // with or without users at all: at a restart
    if (wanted->rights != ours.rights || wanted->watch != ours.watch) {
      log_warning(
          "gateway",
          "driver {}: \"users\" changed together with \"allow\" or \"watch\", which take a restart: logins go by "
          "the users of before until then",
          ours.name);
      continue;
    }
    for (const auto& source : pipeline_->sources()) {
      if (source.driver->name() != ours.name || !source.driver->take_users(wanted->users)) continue;
      ours.users = wanted->users;
      log_info("gateway", "driver {}: logins go by the new users from here on; who is connected stays", ours.name);
    }
  }
}

void Gateway::reload(const Config& config) {
  if (stopping_) return;
  service_.reloading();
  take_users(config);
  std::string kept;
  const auto note = [&](const char* what, bool same) {
    if (same) return;
    if (!kept.empty()) kept += ", ";
    kept += what;
  };
  note("gateway", config.gateway == config_.gateway);
  note("buffer", config.buffer == config_.buffer);
  note("driver", config.mqtt_drivers == config_.mqtt_drivers && config.mqtt_listeners == config_.mqtt_listeners &&
                     config.modbus_buses == config_.modbus_buses && config.simulators == config_.simulators);
  note("uplink", config.mqtt_uplinks == config_.mqtt_uplinks && config.kafka_uplinks == config_.kafka_uplinks &&
                     config.postgresql_uplinks == config_.postgresql_uplinks &&
                     config.http_uplinks == config_.http_uplinks && config.file_uplinks == config_.file_uplinks);
  if (config.rules != config_.rules) {
    replace_rules(config.rules);
    log_info("gateway", "reloaded: {} rules now; unchanged rules kept their state", config.rules.size());
  } else {
    log_info("gateway", "reloaded: rules are unchanged");
  }
  for (const auto& source : pipeline_->sources()) {
    if (auto read = source.driver->read_files_anew(); !read) {
      log_warning("gateway", "driver {}: {}; it goes on with what was there before", source.driver->name(),
                  read.error().message);
    }
  }
  if (!kept.empty()) log_warning("gateway", "changed, but taken over only by a restart: {}", kept);
  pipeline_->record_event(event_record("reload", clock_.wall_now(), {{"restart_needed_for", kept}}));
  after_turn();
  service_.ready();
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
