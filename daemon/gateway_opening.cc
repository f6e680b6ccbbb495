// How a gateway comes to be: data directory, state and log first, then what stands on them, the rules' state last.
#include <algorithm>
#include <filesystem>
#include <random>
#include <utility>

#include "core/counted.h"
#include "core/log.h"
#include "core/value_limits.h"
#include "daemon/clock_events.h"
#include "daemon/config_parts.h"
#include "daemon/event_record.h"
#include "daemon/first_epoch.h"
#include "daemon/gateway.h"
#include "daemon/rules_state.h"
#include "daemon/start_marks.h"

namespace tidegate::daemon {
namespace {

// For what an uplink has on its way when a reload ends it.
constexpr Duration kReloadGrace = std::chrono::seconds(2);

buffer::Checkpoint load_state(buffer::StateStore& store) {
  auto saved = store.load();
  if (saved) return std::move(*saved);
  log_error("state", "the state database cannot be read, going on without it: {}", saved.error().message);
  return {};
}

}  // namespace

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
  std::filesystem::create_directories(runtime_dir_, problem);
  if (problem) {
    return fail(ErrorCode::invalid, "gateway.runtime_dir " + runtime_dir_ + ": cannot be made: " + problem.message());
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

  buffer::RingLogOptions ring = config_.buffer.ring;
  ring.first_epoch = first_epoch(clock_, std::random_device()());
  auto log = buffer::RingLog::open(files_, clock_, tags_, ring, saved.log);
  if (!log) return tl::unexpected(log.error());
  log_ = std::move(*log);
  if (const auto newest = log_->recovery().newest) clock_.set_reached(*newest);

  pipeline_ = std::make_unique<Pipeline>(*log_, tags_, clock_, boot_id_);
  show_latest(config_);
  storage_ = std::make_unique<Worker>("storage");
  keeper_ = std::make_unique<LogKeeper>(*log_, loop_, clock_);
  compactor_ = std::make_unique<Compactor>(*log_, *storage_, loop_);
  compactor_->on_rewritten([this] { keeper_->poke(); });
  keeper_->before_sync([this] {
    for (const auto& source : pipeline_->sources()) source.driver->sync_own();
  });
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
  StartMarks::Ends ends{};
  for (const Stream stream : kAllStreams) ends[static_cast<std::size_t>(stream)] = log_->end(stream).sequence;
  start_marks_ = begin_start(saved, opened, ends, log_->recovery().fresh);
  if (auto kept = room_for_state([&] { return store_->save(opened); }); !kept) return kept;

  storage_watch_ = std::make_unique<StorageWatch>(StorageWatch::Parts{log_.get(), pipeline_.get(), &clock_});
  const auto was_raised = saved.counters.find(StorageWatch::kCounter);
  storage_watch_->set_raised(was_raised != saved.counters.end() && was_raised->second != 0);
  // Drivers first: they claim their tags with unit and type, which messages of alarms name.
  make_maker(saved);
  if (auto made = make_drivers(); !made) return made;
  tag_writer_ = std::make_unique<TagWriter>(TagWriter::Parts{pipeline_.get(), &tags_, &clock_});
  restore_rules(opened.rules);
  make_dead_letters();
  for (const UplinkSettings& settings : uplinks_of(config_)) uplinks_.push_back(maker_->make(settings));
  checkpointer_ =
      std::make_unique<Checkpointer>(Checkpointer::Parts{log_.get(), store_.get(), pipeline_.get(), &uplinks_, &loop_,
                                                         storage_.get(), storage_watch_.get(), &reserve_, &clock_},
                                     opened.rules);
  replay_ = std::make_unique<Replay>(Replay::Parts{log_.get(), pipeline_.get(), keeper_.get(), checkpointer_.get(),
                                                   &clock_, [this] { after_turn(); }});
  space_keeper_ = std::make_unique<SpaceKeeper>(
      SpaceKeeper::Parts{log_.get(), &reserve_, storage_.get(), &loop_, &clock_, config_.buffer.ring.size_max_bytes});
  make_reloader();
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

// Without anybody who may watch it costs nothing.
void Gateway::show_latest(const Config& config) {
  const auto& listeners = config.mqtt_listeners;
  const bool may_watch =
      std::any_of(listeners.begin(), listeners.end(), [](const auto& listener) { return !listener.watch.empty(); });
  if (latest_ || !may_watch) return;
  latest_ = std::make_unique<LatestTable>(tags_);
  pipeline_->set_latest(latest_.get());
  for (const auto& alarm : pipeline_->rules().active()) {
    latest_->take_alarm(alarm.acknowledged.value_or(alarm.raised));
  }
}

drivers::DriverContext Gateway::driver_context() {
  drivers::DriverContext context;
  context.tags = &tags_;
  context.clock = &clock_;
  context.wake = [this] { wake(); };
  context.loop = &loop_.context();
  context.runtime_dir = runtime_dir_;
  context.data_dir = data_directory_->path();
  context.files = &files_;
  context.boot_id = boot_id_;
  context.log_id = log_->state().log_id;
  context.latest = latest_.get();
  context.marks = log_->queue_marks();
  context.text_bytes_max = std::min(kValueTextBytesMax, buffer::text_bytes_max(config_.buffer.ring));
  return context;
}

Result<void> Gateway::make_drivers() {
  for (const DriverSettings& settings : drivers_of(config_)) {
    auto driver = maker_->make(settings);
    if (!driver) return tl::unexpected(driver.error());
    pipeline_->add_driver(std::move(*driver), maker_->accepted(name_of(settings)));
  }
  return {};
}

void Gateway::make_dead_letters() {
  auto counts = store_->dead_letters()->counts();
  for (const auto& [uplink, found] : counts) {
    log_warning("uplink", "{}: {}, the newest for: {}", uplink, counted(found.count, "dead letter"), found.last_reason);
  }
  dead_letters_ =
      std::make_unique<DeadLetters>(DeadLetters::Parts{store_->dead_letters(), log_.get(), pipeline_.get(),
                                                       keeper_.get(), storage_.get(), &loop_, &reserve_, &clock_},
                                    std::move(counts));
}

void Gateway::make_maker(const buffer::Checkpoint& saved) {
  UplinkEnvironment environment{log_.get(),           &loop_, storage_.get(),    &clock_, &clock_history_,
                                clock_records_.get(), &tags_, config_.gateway.id};
  environment.record_event = [this](std::string event) {
    pipeline_->record_event(std::move(event));
    wake();
  };
  environment.marks = &start_marks_;
  environment.keep_dead_letter = [this](const std::string& uplink, const uplink::RefusedRecord& record,
                                        const buffer::DeadLetterLimits& limits,
                                        const std::function<void(const Result<void>&)>& done) {
    dead_letters_->keep(uplink, record, limits, done);
  };
  const auto post = [this](std::function<void()> action) {
    loop_.post([this, action = std::move(action)] {
      if (stopping_) return log_warning("write", "a command that came while the gateway stops is not carried out");
      action();
      wake();
    });
  };
  maker_ =
      std::make_unique<PartMaker>(PartMaker::Parts{&start_marks_, [this]() -> TagWriter& { return *tag_writer_; },
                                                   [this] { return driver_context(); }, std::move(environment), post},
                                  saved);
}

void Gateway::make_reloader() {
  swap_ =
      std::make_unique<PartSwap>(PartSwap::Parts{pipeline_.get(), &uplinks_, maker_.get(), &tags_, tag_writer_.get(),
                                                 keeper_.get(), checkpointer_.get(), replay_.get(), &loop_, &clock_},
                                 kReloadGrace);
  reloader_ = std::make_unique<Reloader>(
      Reloader::Parts{&config_, pipeline_.get(), swap_.get(), &uplinks_, log_.get(), &tags_, &clock_, &service_,
                      [this](const Config& wanted) { show_latest(wanted); }, [this] { after_turn(); }});
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
  if (latest_) {
    for (const auto& alarm : engine->active()) latest_->take_alarm(alarm.acknowledged.value_or(alarm.raised));
  }
  pipeline_->set_rules(std::move(engine), log_->end(Stream::readings));
  pipeline_->record_alarms(transitions);
}

}  // namespace tidegate::daemon
