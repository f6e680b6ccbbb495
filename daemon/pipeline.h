#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "buffer/log_appender.h"
#include "core/clock.h"
#include "core/log.h"
#include "core/spare_room.h"
#include "daemon/latest_table.h"
#include "daemon/normaliser.h"
#include "daemon/pipeline_watcher.h"
#include "drivers/driver.h"
#include "rules/rule_engine.h"

namespace tidegate::daemon {

/// The way a reading takes through the core thread: collected from its driver, normalised, appended to the log,
/// settled, judged by the rules; the alarms that come of it are appended too. Whatever the log refuses (disk full) is
/// kept and nothing more is collected, so that drivers hold back their sources; nothing is settled before it is
/// written, or, where the log drops it on purpose, before that is recorded. Core thread; owns no timer: call turn()
/// when a driver woke, tick() at next_deadline().
class Pipeline {
 public:
  struct Source {
    std::unique_ptr<drivers::Driver> driver;
    std::uint64_t accepted = 0;  // readings that the log has taken, over restarts
    std::uint64_t settles = 0;   // calls of settled()
    /// The end of the log at calls of settled() that are not durable yet, for a driver that waits for that.
    std::deque<std::pair<Position, std::uint64_t>> undurable{};
    /// What the log dropped of its readings on purpose is not recorded durably before this: nothing is settled.
    std::optional<Position> unsettled_to{};
  };

  /// `boot_id` is of this boot, all zero where it is not known.
  Pipeline(buffer::LogAppender& log, TagRegistry& tags, const Clock& clock, const BootId& boot_id);

  void add_driver(std::unique_ptr<drivers::Driver> driver, std::uint64_t accepted_before);
  /// Keeps the latest of each tag and alarm there too; it outlives this.
  void set_latest(LatestTable* latest) { latest_ = latest; }
  /// Null: nobody watches.
  void set_watcher(PipelineWatcher* watcher) { watcher_ = watcher; }
  /// Takes over judging from here on; the engine has judged what it has to of the records before `from`.
  void set_rules(std::unique_ptr<rules::RuleEngine> engine, Position from) {
    rules_ = std::move(engine);
    judged_from_ = from;
  }
  /// Behind the last reading that the rules have judged, or need not judge.
  Position judged_to() const { return std::max(judged_from_, rules_->position()); }

  /// Is told what became of writes, before the readings that came with that are stored.
  void on_answer(std::function<void(const drivers::WriteAnswer&)> take) { on_answer_ = std::move(take); }

  /// Takes in what the drivers have, once round. True when something was taken in: there may be more.
  bool turn();
  /// The same of one source alone.
  bool take_from(std::size_t source);
  /// Nothing that the source has handed over is on its way any more: written, and durable where its driver waits for
  /// that.
  bool is_through(std::size_t source) const;
  /// Tells drivers that wait for it what the log has made durable.
  void report_durable();
  /// Lets the rules' delays run out.
  void tick();
  /// The wall clock was set by so much to `to`: readings that drivers have taken in before, and that come only now, get
  /// their ingest time by the new clock, as the frame that holds them.
  void clock_was_set(Duration by, WallTime to);
  /// Stores a document of the stream `events`.
  void record_event(std::string document);
  /// What an operator does to alarms: `action` says it to the rules. What comes of it is in the log on return. Error
  /// `retry`: the log takes no records.
  using AlarmAction = std::function<Result<void>(rules::RuleEngine&, std::vector<rules::AlarmTransition>&)>;
  Result<void> change_alarms(const AlarmAction& action);
  /// Stores alarms, as when the rules catch up at start.
  void record_alarms(const std::vector<rules::AlarmTransition>& transitions);

  /// The state database knows of all readings that the log dropped before `end`.
  void drops_recorded(Position end);

  /// True while the log refuses records: try again by turn() after a while.
  bool is_stalled() const { return stalled_.has_value() || !pending_alarms_.empty() || !pending_events_.empty(); }
  /// Readings written to the log in this process.
  std::uint64_t taken() const { return taken_; }
  /// Records that the log will never take, and events that found no room to wait: left out, and named by an event
  /// before their source is told that they are settled.
  std::uint64_t refused(Stream stream) const { return refused_[static_cast<std::size_t>(stream)]; }
  /// Why, for the status.
  const std::string& stall_reason() const { return stall_reason_; }
  std::optional<BootTime> next_deadline() const;

  rules::RuleEngine& rules() { return *rules_; }
  const rules::RuleEngine& rules() const { return *rules_; }
  /// May be changed while nothing is stalled, and not from within a call of this.
  std::vector<Source>& sources() { return sources_; }
  const std::vector<Source>& sources() const { return sources_; }
  const Normaliser& normaliser() const { return normaliser_; }
  FrameTimes now() const;

 private:
  struct Step {
    Duration by{};
    WallTime to{};
  };

  /// Records left out that no event names yet.
  struct Refusal {
    std::string tag;     // of the first
    std::string reason;  // of the first
    std::uint64_t count = 0;
  };

  bool go_on();
  bool take_in(std::size_t source);
  void put_on_new_clock(std::span<Reading> readings) const;
  bool store(std::size_t source);
  void settle(Source& source);
  std::string_view tag_path(const Reading& reading) const;
  Result<Position> append_slice(std::size_t count, const FrameTimes& times);
  void judge(Position first, std::size_t count, const FrameTimes& times);
  void record_driver_events(const drivers::Driver& driver);
  bool flush_documents();
  void place_alarms(Position first, std::span<const std::string> documents);
  bool flush(Stream stream, std::vector<std::string>& documents);
  void note_refusal(const Error& error);
  void leave_out(Stream stream, std::string_view tag, const std::string& why);
  bool record_refusals();

  buffer::LogAppender& log_;
  const TagRegistry& tags_;
  const Clock& clock_;
  const BootId boot_id_;
  std::optional<Step> step_;  // the last one
  Normaliser normaliser_;
  LatestTable* latest_ = nullptr;
  PipelineWatcher* watcher_ = nullptr;
  std::function<void(const drivers::WriteAnswer&)> on_answer_;
  std::unique_ptr<rules::RuleEngine> rules_;
  Position judged_from_;
  std::vector<Source> sources_;
  drivers::Intake intake_;              // of the stalled source while stalled_
  SpareRoom spare_;                     // of its readings
  std::optional<std::size_t> stalled_;  // the source whose intake the log refuses
  std::size_t stored_ = 0;              // readings of the intake that the log has
  std::string stall_reason_;
  std::set<std::string> said_refusals_;  // of the log, without their numbers
  std::uint64_t taken_ = 0;
  std::array<std::uint64_t, kStreamCount> refused_{};
  std::array<Refusal, kStreamCount> refusals_;
  ComplaintFilter complaints_;
  std::vector<rules::AlarmTransition> transitions_;
  std::vector<std::string> pending_alarms_;
  std::vector<std::string> pending_events_;
};

}  // namespace tidegate::daemon
