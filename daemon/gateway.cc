#include "daemon/gateway.h"

#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <utility>

#include "core/log.h"
#include "core/text.h"
#include "daemon/clock_events.h"
#include "daemon/event_record.h"
#include "drivers/modbus/modbus_driver.h"
#include "drivers/mqtt/mqtt_driver.h"
#include "drivers/mqtt_listener/mqtt_listener.h"
#include "drivers/simulator/simulator_driver.h"
#include "uplink/transport.h"

namespace tidegate::daemon {
namespace {

// After a turn that took in so much, the next one waits this long, so that a stream of single messages is taken in
// bunches: one wake-up, one frame, one batch for dozens of readings. A single reading does not wait.
constexpr Duration kTurnPause = std::chrono::milliseconds(2);
constexpr std::uint64_t kBusyTurn = 8;
constexpr Duration kStallPause = std::chrono::seconds(1);
constexpr int kRoundsPerTurn = 4;
constexpr Duration kStopGrace = std::chrono::seconds(2);
constexpr Duration kStorageLookEvery = std::chrono::seconds(1);
// No disk that works takes this long. Where the kernel says that a thread waits for its disk, a restart would only wait
// again; else the watchdog lets systemd restart us.
constexpr Duration kStuckAfter = std::chrono::minutes(2);

buffer::Checkpoint load_state(buffer::StateStore& store) {
  auto saved = store.load();
  if (saved) return std::move(*saved);
  log_error("state", "the state database cannot be read, going on without it: {}", saved.error().message);
  return {};
}

}  // namespace

Gateway::Gateway(Config config, EventLoop& loop, const Clock& clock)
    : config_(std::move(config)),
      loop_(loop),
      clock_(clock),
      started_(clock.boot_now()),
      reserve_(config_.gateway.data_dir + "/reserve") {
  if (const char* path = std::getenv("TIDEGATE_TEST_HOLD_CORE"); path != nullptr) hold_file_ = path;
  if (std::getenv("TIDEGATE_TEST_PLAIN_QUEUE") != nullptr) {
    // As if queues lay in plain memory: the next process does not find this one's.
    config_.gateway.runtime_dir += "/" + std::to_string(::getpid());
  }
}

Gateway::~Gateway() {
  // Threads end before what they use: transports and drivers first, then the workers.
  uplinks_.clear();
  pipeline_.reset();
  keeper_.reset();
  compactor_.reset();
  storage_.reset();
  checkpointer_.reset();
}

Result<void> Gateway::open() {
  auto directory = buffer::DataDirectory::open(config_.gateway.data_dir);
  if (!directory) return tl::unexpected(directory.error());
  data_directory_ = std::make_unique<buffer::DataDirectory>(std::move(*directory));
  if (auto boot_id = read_boot_id()) {
    boot_id_ = *boot_id;
    clock_history_ = ClockHistory(boot_id_);
  } else {
    log_warning("gateway", "{}", boot_id.error().message);
  }
  std::error_code problem;
  std::filesystem::create_directories(config_.gateway.runtime_dir, problem);
  if (problem) {
    return fail(ErrorCode::invalid,
                "gateway.runtime_dir " + config_.gateway.runtime_dir + ": cannot be made: " + problem.message());
  }
  return open_log();
}

Result<void> Gateway::open_log() {
  const auto room_for_state = [this](auto operation) {
    return buffer::with_room(reserve_, SpaceKeeper::kForState, operation);
  };
  auto store = room_for_state([&] { return buffer::StateStore::open(data_directory_->path() + "/state.db"); });
  if (!store) return tl::unexpected(store.error());
  store_ = std::move(*store);
  const buffer::Checkpoint saved = load_state(*store_);

  auto log = buffer::RingLog::open(files_, clock_, tags_, config_.buffer.ring, saved.log);
  if (!log) return tl::unexpected(log.error());
  log_ = std::move(*log);
  if (const auto newest = log_->recovery().newest) clock_.set_reached(*newest);

  pipeline_ = std::make_unique<Pipeline>(*log_, tags_, clock_, boot_id_);
  storage_ = std::make_unique<Worker>("storage");
  keeper_ = std::make_unique<LogKeeper>(*log_, loop_, clock_);
  compactor_ = std::make_unique<Compactor>(*log_, *storage_, loop_);
  compactor_->on_rewritten([this] { keeper_->poke(); });
  keeper_->on_durable([this] {
    pipeline_->report_durable();
    compactor_->poke();
  });
  clock_watch_ = std::make_unique<ClockWatch>(ClockWatch::Parts{pipeline_.get(), &clock_, &clock_history_});
  clock_records_ = std::make_unique<ClockRecords>(
      ClockRecords::Parts{log_.get(), &clock_history_, storage_.get(), &loop_, started_});

  // The new epoch is durable before the first record carries it.
  buffer::Checkpoint opened = saved;
  opened.log = log_->state();
  opened.log.clean = false;
  // Rules that never ran begin here, whenever this start is the one that ends by a kill.
  if (opened.rules.empty()) {
    const rules::RuleEngine unused({}, tags_);
    opened.rules = pack_rules({unused.save(), log_->end(Stream::readings), log_->end(Stream::alarms)});
  }
  if (auto kept = room_for_state([&] { return store_->save(opened); }); !kept) return kept;

  storage_watch_ = std::make_unique<StorageWatch>(StorageWatch::Parts{log_.get(), pipeline_.get(), &clock_});
  const auto was_raised = saved.counters.find(StorageWatch::kCounter);
  storage_watch_->set_raised(was_raised != saved.counters.end() && was_raised->second != 0);
  // Drivers first: they claim their tags with unit and type, which messages of alarms name.
  if (auto made = make_drivers(saved); !made) return made;
  restore_rules(opened.rules);
  make_uplinks(saved);
  checkpointer_ =
      std::make_unique<Checkpointer>(Checkpointer::Parts{log_.get(), store_.get(), pipeline_.get(), &uplinks_, &loop_,
                                                         storage_.get(), storage_watch_.get(), &reserve_, &clock_},
                                     opened.rules);
  replay_ = std::make_unique<Replay>(Replay::Parts{log_.get(), pipeline_.get(), keeper_.get(), checkpointer_.get(),
                                                   &clock_, [this] { after_turn(); }});
  space_keeper_ = std::make_unique<SpaceKeeper>(
      SpaceKeeper::Parts{log_.get(), &reserve_, storage_.get(), &loop_, &clock_, config_.buffer.ring.size_max_bytes});
  checkpointer_->report_passed(saved.cursors);
  report_opening(saved);
  return {};
}

void Gateway::report_opening(const buffer::Checkpoint& saved) {
  const auto& found = log_->recovery();
  std::string detail;
  if (found.fresh) {
    detail = "new log";
  } else if (found.clean) {
    detail = "after a clean stop";
  } else {
    detail = "after an unclean stop";
    if (found.torn_bytes > 0) detail += ", " + std::to_string(found.torn_bytes) + " bytes of unfinished writes dropped";
  }
  for (const auto& finding : found.findings) log_warning("log", "{}", finding);
  append_findings(detail, found.findings);
  if (store_->notice()) {
    log_warning("state", "{}", *store_->notice());
    append_findings(detail, {*store_->notice()});
  }
  log_info("gateway", "{} in {}, epoch {}: {}", config_.gateway.id, data_directory_->path(), found.epoch, detail);
  const std::string start = event_record("start", clock_.wall_now(),
                                         {{"gateway", config_.gateway.id},
                                          {"version", TIDEGATE_VERSION},
                                          {"epoch", std::uint64_t{found.epoch}},
                                          {"detail", detail}});
  pipeline_->record_event(with_anchor(start, clock_watch_->first_anchor()));
  for (const auto& cursor : saved.cursors) {
    const bool known = std::any_of(uplinks_.begin(), uplinks_.end(),
                                   [&](const auto& uplink) { return uplink->name() == cursor.uplink; });
    if (!known) log_info("gateway", "uplink {} is no longer configured: it holds nothing back", cursor.uplink);
  }
}

drivers::DriverContext Gateway::driver_context() {
  drivers::DriverContext context;
  context.tags = &tags_;
  context.clock = &clock_;
  context.wake = [this] { wake(); };
  context.loop = &loop_.context();
  context.runtime_dir = config_.gateway.runtime_dir;
  context.boot_id = boot_id_;
  context.log_id = log_->state().log_id;
  context.marks = log_->queue_marks();
  context.text_bytes_max = std::min(kValueTextBytesMax, buffer::text_bytes_max(config_.buffer.ring));
  return context;
}

Result<void> Gateway::make_drivers(const buffer::Checkpoint& saved) {
  const drivers::DriverContext context = driver_context();
  const auto add = [&](Result<std::unique_ptr<drivers::Driver>> driver) -> Result<void> {
    if (!driver) return tl::unexpected(driver.error());
    const auto counted = saved.counters.find("accepted/" + (*driver)->name());
    pipeline_->add_driver(std::move(*driver), counted == saved.counters.end() ? 0 : counted->second);
    return {};
  };
  for (const auto& options : config_.mqtt_drivers) {
    if (auto added = add(drivers::make_mqtt_driver(options, context)); !added) return added;
  }
  for (const auto& options : config_.mqtt_listeners) {
    if (auto added = add(drivers::make_mqtt_listener(options, context)); !added) return added;
  }
  for (const auto& options : config_.modbus_buses) {
    if (auto added = add(drivers::make_modbus_driver(options, context)); !added) return added;
  }
  for (const auto& options : config_.simulators) {
    if (auto added = add(drivers::make_simulator_driver(options, context)); !added) return added;
  }
  return {};
}

void Gateway::make_uplinks(const buffer::Checkpoint& saved) {
  const UplinkEnvironment environment{log_.get(),           &loop_, storage_.get(),    &clock_, &clock_history_,
                                      clock_records_.get(), &tags_, config_.gateway.id};
  for (const auto& options : config_.mqtt_uplinks) {
    uplinks_.push_back(
        std::make_unique<UplinkRunner>(options.forwarder, environment, [&](uplink::TransportHandlers handlers) {
          return uplink::make_mqtt_transport(options, config_.gateway.id, std::move(handlers));
        }));
  }
  for (const auto& options : config_.file_uplinks) {
    uplinks_.push_back(
        std::make_unique<UplinkRunner>(options.forwarder, environment, [&](uplink::TransportHandlers handlers) {
          return uplink::make_file_transport(options, config_.gateway.id, std::move(handlers));
        }));
  }
  for (const auto& uplink : uplinks_) {
    const auto& streams = uplink->forwarder().options().streams;
    for (const auto& cursor : saved.cursors) {
      const bool carried = std::find(streams.begin(), streams.end(), cursor.stream) != streams.end();
      if (cursor.uplink == uplink->name() && carried) uplink->restore(cursor);
    }
  }
}

// Readings behind the saved state are judged again; what the stream `alarms` already holds comes out no second time.
void Gateway::restore_rules(const std::string& packed) {
  auto engine = std::make_unique<rules::RuleEngine>(config_.rules, tags_);
  RulesState state{"", log_->end(Stream::readings), log_->end(Stream::alarms)};
  if (auto unpacked = unpack_rules(packed)) state = std::move(*unpacked);
  if (const auto restored = engine->restore(state.engine); !restored) {
    log_warning("rules", "saved state is of no use, rules begin anew: {}", restored.error().message);
  }
  std::vector<rules::AlarmTransition> transitions;
  const auto each = [this](Stream stream, Position from, auto&& visit) {
    const auto reader = log_->disk_reader(stream);
    while (from < log_->end(stream)) {
      const auto outcome = reader->read(from);
      if (!outcome) log_error("rules", "cannot judge again what is stored: {}", outcome.error().message);
      if (!outcome || outcome->status == buffer::ReadStatus::at_end) return;
      from = outcome->status == buffer::ReadStatus::gone ? outcome->next : outcome->batch->end();
      if (outcome->batch) visit(*outcome->batch);
    }
  };
  each(Stream::alarms, state.alarms, [&](const RecordBatch& batch) {
    for (const auto& document : batch.documents) {
      const auto logged = rules::parse_alarm_document(document);
      if (!logged) continue;
      engine->observe_logged(*logged);
      storage_watch_->observe_logged(*logged);
    }
  });
  if (!config_.rules.empty()) {
    each(Stream::readings, state.readings, [&](const RecordBatch& batch) { engine->apply(batch, transitions); });
  }
  // Delays of this boot that ran out while no gateway ran end here; those of an earlier boot are forgotten.
  engine->tick(pipeline_->now(), boot_id_, transitions);
  pipeline_->set_rules(std::move(engine), log_->end(Stream::readings));
  pipeline_->record_alarms(transitions);
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
  if (!hold_file_.empty() && ::access(hold_file_.c_str(), F_OK) == 0) {
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
  arm_rules_timer();
  // What the log refused is tried again, whoever brought it: a driver, a rule's delay, an event.
  if (!pipeline_->is_stalled()) return;
  // Whatever else comes in the meantime does not put it off.
  const BootTime now = clock_.boot_now();
  if (retry_at_ <= now) retry_at_ = now + kStallPause;
  turn_timer_->arm(retry_at_ - now, [this] { on_wake(); });
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

void Gateway::reload(const Config& config) {
  if (stopping_) return;
  service_.reloading();
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
  note("uplink", config.mqtt_uplinks == config_.mqtt_uplinks && config.file_uplinks == config_.file_uplinks);
  if (config.rules != config_.rules) {
    replace_rules(config.rules);
    log_info("gateway", "reloaded: {} rules now; unchanged rules kept their state", config.rules.size());
  } else {
    log_info("gateway", "reloaded: rules are unchanged");
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
  for (const auto& uplink : uplinks_) uplink->stop(kStopGrace);
  // What the transports reported on their way out is in the loop's queue before this.
  loop_.post([this] { finish_stop(); });
}

void Gateway::finish_stop() {
  keeper_->sync_all([this](bool synced) {
    // A sync may write gap records itself; nothing else is appended any more.
    if (synced && !checkpointer_->is_all_durable()) return finish_stop();
    checkpointer_->save_last([this](bool ok) {
      if (!ok) log_error("gateway", "stopped without saving the cursors: some records will be sent again");
      loop_.stop();
    });
  });
}

}  // namespace tidegate::daemon
