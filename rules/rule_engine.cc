#include "rules/rule_engine.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <tuple>
#include <utility>

#include "core/text.h"
#include "rules/alarm_table.h"
#include "rules/message.h"
#include "rules/operator_marks.h"
#include "rules/pending_set.h"
#include "rules/saved_state.h"

namespace tidegate::rules {
namespace {

// A tick's time may have been read a little before the last frame's; further back it is another boot's.
constexpr Duration kTickLagMax = std::chrono::seconds(1);

// Who shelves the same alarm until the same time again says nothing new.
constexpr Duration kSameEnd = std::chrono::seconds(1);

}  // namespace

class RuleEngine::Impl {
 public:
  Impl(std::vector<RuleOptions> rules, TagRegistry& tags)
      : tags_(tags),
        may_hold_(std::any_of(rules.begin(), rules.end(), [](const RuleOptions& rule) { return rule.latch; })),
        alarms_(std::move(rules), tags) {}

  void apply(const RecordBatch& batch, std::vector<AlarmTransition>& out);
  void tick(const FrameTimes& now, const BootId& boot_id, std::vector<AlarmTransition>& out);
  std::optional<BootTime> next_deadline();
  SavedState to_saved();
  void restore(SavedState saved);
  void reset();
  void observe_logged(const AlarmTransition& transition);
  Position position() const { return position_; }
  std::vector<ActiveAlarm> active();
  std::vector<std::string> idle_rules() const;

  Result<void> acknowledge(const std::string& id, const Operator& by, std::vector<AlarmTransition>& out,
                           std::optional<Position> seen);
  Result<void> shelve(const std::string& id, WallTime until, const Operator& by, std::vector<AlarmTransition>& out);
  Result<void> unshelve(const std::string& id, const Operator& by, std::vector<AlarmTransition>& out);
  void end_shelving(WallTime now, std::vector<AlarmTransition>& out);
  void clock_was_set(Duration by) { marks_.move_ends(shelved_here_, by); }
  const OperatorMarks& marks() const { return marks_; }

 private:
  void judge(const Reading& reading, Position position, BootTime boot, AlarmRange range,
             std::vector<AlarmTransition>& out);
  void run_out(BootTime now, std::vector<AlarmTransition>& out);
  void begin_boot(BootTime boot, const BootId& boot_id);
  bool is_of_another_boot(const BootId& boot_id) const;
  void emit(std::uint32_t index, WallTime time, const Value& value, std::vector<AlarmTransition>& out);
  bool is_held(std::uint32_t index, Position judged_to) const;
  std::string id_of(const Alarm& alarm) const;
  const AlarmTransition* find_raised(const std::string& id, std::uint32_t& index) const;
  AlarmTransition describe(std::uint32_t index) const;
  void track_released();
  void mark(AlarmTransition said, const Operator& by, std::vector<AlarmTransition>& out);
  void track(std::uint32_t index, Position judged_to);
  void track(std::uint32_t index) { track(index, position_); }
  void untrack(Alarm& alarm);
  void adopt_logged(std::uint32_t index);
  void adopt_passed(Position position);
  SavedAlarm to_saved(std::uint32_t index) const;
  void restore_alarm(const std::string& rule, SavedAlarm saved);

  TagRegistry& tags_;
  const bool may_hold_;  // a rule latches
  AlarmTable alarms_;
  OperatorMarks marks_;
  std::vector<std::string> shelved_here_;  // in this process: alarms
  PendingSet pending_;
  std::vector<std::uint32_t> due_;                   // run_out()'s, kept for its memory
  std::map<std::uint32_t, AlarmTransition> raised_;  // the raises that hold, by alarm
  std::map<std::uint32_t, AlarmTransition> logged_;  // of alarms with is_logged: the newest record
  Position position_;
  BootTime boot_{};   // of the newest frame, or of the tick that began a boot
  BootId boot_id_{};  // likewise; all zero: not known
};

void RuleEngine::Impl::apply(const RecordBatch& batch, std::vector<AlarmTransition>& out) {
  if (batch.stream != Stream::readings || batch.readings.empty() || batch.end() <= position_) return;
  const bool overlaps = batch.epoch == position_.epoch && batch.first < position_.sequence;
  const std::uint64_t skipped = overlaps ? position_.sequence - batch.first : 0;
  adopt_passed({batch.epoch, batch.first + skipped});
  track_released();
  if (batch.times.boot < boot_ || is_of_another_boot(batch.boot_id)) begin_boot(batch.times.boot, batch.boot_id);
  boot_ = batch.times.boot;
  boot_id_ = batch.boot_id;
  run_out(boot_, out);
  for (std::size_t i = static_cast<std::size_t>(skipped); i < batch.readings.size(); ++i) {
    const Reading& reading = batch.readings[i];
    const AlarmRange range = alarms_.of(reading.tag);
    if (range.count != 0) judge(reading, {batch.epoch, batch.first + i}, boot_, range, out);
  }
  position_ = batch.end();
}

// A boot that is older by now than the one before was when it ended is known by its id only.
bool RuleEngine::Impl::is_of_another_boot(const BootId& boot_id) const {
  return boot_id != BootId{} && boot_id_ != BootId{} && boot_id != boot_id_;
}

void RuleEngine::Impl::judge(const Reading& reading, Position position, BootTime boot, AlarmRange range,
                             std::vector<AlarmTransition>& out) {
  double number = 0;
  if (reading.quality == Quality::bad || !as_number(reading.value, number) || !std::isfinite(number)) return;
  for (std::uint32_t index = range.first; index < range.first + range.count; ++index) {
    Alarm& alarm = alarms_[index];
    const CompiledRule& rule = alarms_.rule_of(alarm);
    const bool was_pending = alarm.machine.is_pending();
    Delays delays = rule.delays;
    delays.latch = is_held(index, position);
    const bool turned = alarm.machine.judge(rule.judge(number, alarm.baseline), reading, position, boot, delays);
    if (alarm.machine.is_pending() != was_pending || rule.delays.latch) track(index, position);
    if (turned) emit(index, reading.time, reading.value, out);
    if (alarm.is_logged && logged_.at(index).cause == position) adopt_logged(index);
  }
}

/// Ends the delays whose deadline has come, in an order that neither ticks nor tag numbers have a say in.
void RuleEngine::Impl::run_out(BootTime now, std::vector<AlarmTransition>& out) {
  if (pending_.empty() || now < pending_.earliest()) return;
  due_.clear();
  for (const PendingSet::Entry& entry : pending_.entries()) {
    if (entry.deadline <= now) due_.push_back(entry.alarm);
  }
  std::sort(due_.begin(), due_.end(), [this](std::uint32_t a, std::uint32_t b) {
    const auto key = [this](std::uint32_t index) {
      const PendingDelay& delay = alarms_[index].machine.pending();
      return std::tuple(delay.deadline, delay.first, alarms_[index].rule);
    };
    return key(a) < key(b);
  });
  for (const std::uint32_t index : due_) {
    AlarmMachine& machine = alarms_[index].machine;
    const PendingDelay ended = machine.pending();
    WallTime time = ended.end();
    // Whoever orders by time sees the acknowledgement before the end that it has let go.
    if (machine.raised() && alarms_.rule_of(alarms_[index]).delays.latch) {
      const auto* const said = marks_.acknowledgement(id_of(alarms_[index]), machine.occurrence());
      if (said != nullptr) time = std::max(time, said->time);
    }
    machine.run_out();
    track(index);
    emit(index, time, ended.last.value, out);
  }
}

// What a delay waits for is that the condition holds all the time, and nobody saw what was between the two boots: the
// first reading of the new one begins it anew.
void RuleEngine::Impl::begin_boot(BootTime boot, const BootId& boot_id) {
  for (const PendingSet::Entry& entry : pending_.entries()) {
    alarms_[entry.alarm].machine.cancel();
    alarms_[entry.alarm].pending_slot = PendingSet::kNoSlot;
  }
  pending_.clear();
  for (const auto& [index, raised] : raised_) alarms_[index].machine.cancel();  // those that are held
  boot_ = boot;
  boot_id_ = boot_id;
}

/// The transition that the alarm has just made: remembers it, and hands it out unless the log already holds it.
void RuleEngine::Impl::emit(std::uint32_t index, WallTime time, const Value& value, std::vector<AlarmTransition>& out) {
  const Alarm& alarm = alarms_[index];
  const RuleOptions& rule = alarms_.rule_of(alarm).options;
  const Tag& tag = alarms_.tag_of(alarm);
  AlarmTransition transition;
  transition.alarm = id_of(alarm);
  transition.rule = rule.name;
  transition.tag = tag.path;
  transition.state = alarm.machine.raised() ? AlarmState::raised : AlarmState::cleared;
  transition.severity = rule.severity;
  transition.message = fill_message(rule, tag, value);
  transition.value = value;
  transition.time = time;
  transition.cause = alarm.machine.last_transition();
  transition.occurrence = alarm.machine.occurrence();
  if (alarm.machine.raised()) {
    raised_[index] = transition;
  } else {
    raised_.erase(index);
    marks_.forget_acknowledgement(transition.alarm, transition.occurrence);
  }
  const bool is_repeat = alarm.is_logged && transition.cause <= logged_.at(index).cause;
  if (!is_repeat) out.push_back(std::move(transition));
}

void RuleEngine::Impl::tick(const FrameTimes& now, const BootId& boot_id, std::vector<AlarmTransition>& out) {
  adopt_passed(position_);
  track_released();
  if (now.boot < boot_ - kTickLagMax || is_of_another_boot(boot_id)) begin_boot(now.boot, boot_id);
  run_out(now.boot, out);
}

std::optional<BootTime> RuleEngine::Impl::next_deadline() {
  adopt_passed(position_);
  track_released();
  if (pending_.empty()) return std::nullopt;
  return pending_.earliest();
}

std::string RuleEngine::Impl::id_of(const Alarm& alarm) const {
  return alarms_.rule_of(alarm).options.name + "/" + alarms_.tag_of(alarm).path;
}

/// Whether its end waits for somebody to acknowledge it. In a replay an acknowledgement is known before the readings
/// that came before it are judged again.
bool RuleEngine::Impl::is_held(std::uint32_t index, Position judged_to) const {
  const Alarm& alarm = alarms_[index];
  if (!alarms_.rule_of(alarm).delays.latch || !alarm.machine.raised()) return false;
  const auto* const said = marks_.acknowledgement(id_of(alarm), alarm.machine.occurrence());
  return said == nullptr || judged_to < said->cause;
}

/// Lets ends run out whose acknowledgement the log has brought.
void RuleEngine::Impl::track_released() {
  if (!may_hold_) return;
  for (const auto& [index, raised] : raised_) {
    const Alarm& alarm = alarms_[index];
    if (alarm.machine.is_pending() && alarm.pending_slot == PendingSet::kNoSlot) track(index);
  }
}

/// Makes the pending set agree with the alarm.
void RuleEngine::Impl::track(std::uint32_t index, Position judged_to) {
  Alarm& alarm = alarms_[index];
  if (!alarm.machine.is_pending() || is_held(index, judged_to)) {
    untrack(alarm);
  } else if (alarm.pending_slot == PendingSet::kNoSlot) {
    alarm.pending_slot = pending_.add({index, alarm.machine.pending().deadline});
  }
}

void RuleEngine::Impl::untrack(Alarm& alarm) {
  if (alarm.pending_slot == PendingSet::kNoSlot) return;
  const std::uint32_t moved = pending_.remove(alarm.pending_slot);
  if (moved != PendingSet::kNoSlot) alarms_[moved].pending_slot = alarm.pending_slot;
  alarm.pending_slot = PendingSet::kNoSlot;
}

void RuleEngine::Impl::observe_logged(const AlarmTransition& transition) {
  const std::optional<std::uint32_t> index = alarms_.find(transition.rule, transition.tag);
  if (!index) return;
  if (!is_of_rule(transition.state)) return marks_.take(transition);
  logged_[*index] = transition;
  alarms_[*index].is_logged = true;
}

/// From here on the log is the truth about this alarm's past: normally the alarm has come to the same state itself.
/// It has not when a tick ended a delay and the replay has no tick, when readings were lost behind the alarm that
/// they raised, or when the rule was changed.
void RuleEngine::Impl::adopt_logged(std::uint32_t index) {
  Alarm& alarm = alarms_[index];
  const auto found = logged_.find(index);
  AlarmTransition& logged = found->second;
  const bool is_raised = logged.state == AlarmState::raised;
  if (alarm.machine.raised() != is_raised || alarm.machine.last_transition() != logged.cause) {
    alarm.machine.adopt(logged.state, logged.cause, logged.occurrence);
    track(index);
  }
  if (is_raised) {
    raised_[index] = std::move(logged);
  } else {
    raised_.erase(index);
  }
  alarm.is_logged = false;
  logged_.erase(found);
}

/// Adopts the log's last word on every alarm whose record lies in front of `position`.
void RuleEngine::Impl::adopt_passed(Position position) {
  for (auto next = logged_.begin(); next != logged_.end();) {
    const auto entry = next++;
    if (entry->second.cause < position) adopt_logged(entry->first);
  }
}

SavedAlarm RuleEngine::Impl::to_saved(std::uint32_t index) const {
  const Alarm& alarm = alarms_[index];
  SavedAlarm saved;
  saved.tag = alarms_.tag_of(alarm).path;
  saved.last_transition = alarm.machine.last_transition();
  if (const auto raised = raised_.find(index); raised != raised_.end()) saved.raised = raised->second;
  if (alarm.machine.is_pending()) saved.pending = alarm.machine.pending();
  if (alarm.baseline.state().count != 0) saved.baseline = alarm.baseline.state();
  return saved;
}

SavedState RuleEngine::Impl::to_saved() {
  adopt_passed(position_);
  SavedState state{position_, boot_, boot_id_, {}, marks_.all()};
  for (const CompiledRule& rule : alarms_.rules()) state.rules.push_back({rule.options.name, rule.fingerprint, {}});
  for (std::uint32_t index = 0; index < alarms_.size(); ++index) {
    SavedAlarm saved = to_saved(index);
    const bool is_as_new = !saved.raised && !saved.pending && !saved.baseline;
    if (!is_as_new) state.rules[alarms_[index].rule].alarms.push_back(std::move(saved));
  }
  return state;
}

void RuleEngine::Impl::reset() {
  alarms_.forget_all();
  pending_.clear();
  raised_.clear();
  logged_.clear();
  marks_.clear();
  position_ = {};
  boot_ = {};
  boot_id_ = {};
}

void RuleEngine::Impl::restore(SavedState saved) {
  position_ = saved.position;
  boot_ = saved.boot;
  boot_id_ = saved.boot_id;
  for (const AlarmTransition& mark : saved.marks) {
    if (alarms_.find(mark.rule, mark.tag)) marks_.take(mark);
  }
  const std::vector<CompiledRule>& rules = alarms_.rules();
  for (SavedRule& rule : saved.rules) {
    const bool is_unchanged = std::any_of(rules.begin(), rules.end(), [&](const CompiledRule& candidate) {
      return candidate.options.name == rule.rule && candidate.fingerprint == rule.fingerprint;
    });
    if (!is_unchanged) continue;
    for (SavedAlarm& alarm : rule.alarms) restore_alarm(rule.rule, std::move(alarm));
  }
}

void RuleEngine::Impl::restore_alarm(const std::string& rule, SavedAlarm saved) {
  const std::optional<std::uint32_t> index = alarms_.find(rule, saved.tag);
  if (!index) return;
  Alarm& alarm = alarms_[*index];
  alarm.machine = AlarmMachine();  // should the text name an alarm twice, the last one counts
  track(*index);
  raised_.erase(*index);
  if (saved.raised) {
    alarm.machine.adopt(AlarmState::raised, saved.raised->cause, saved.raised->occurrence);
    raised_[*index] = std::move(*saved.raised);
  }
  alarm.machine.restore_last_transition(saved.last_transition);
  if (saved.pending) alarm.machine.restore_pending(std::move(*saved.pending));
  track(*index);
  if (saved.baseline) alarm.baseline = Ewma(*saved.baseline);
}

// What has an alarm has a tag; only for the others all tags are gone through.
std::vector<std::string> RuleEngine::Impl::idle_rules() const {
  std::vector<bool> has_tag(alarms_.rules().size());
  for (std::uint32_t index = 0; index < alarms_.size(); ++index) has_tag[alarms_[index].rule] = true;
  std::vector<std::string> idle;
  for (std::size_t rule = 0; rule < has_tag.size(); ++rule) {
    for (std::size_t tag = 0; tag < tags_.size() && !has_tag[rule]; ++tag) {
      has_tag[rule] = alarms_.rules()[rule].covers(tags_.tag(static_cast<TagId>(tag)).path);
    }
    if (!has_tag[rule]) idle.push_back(alarms_.rules()[rule].options.name);
  }
  return idle;
}

std::vector<ActiveAlarm> RuleEngine::Impl::active() {
  adopt_passed(position_);
  std::vector<ActiveAlarm> active;
  active.reserve(raised_.size());
  for (const auto& [index, transition] : raised_) {
    ActiveAlarm& alarm = active.emplace_back(ActiveAlarm{transition});
    if (const auto* said = marks_.acknowledgement(transition.alarm, transition.occurrence)) {
      alarm.acknowledged = *said;
    }
    if (const auto* said = marks_.shelving(transition.alarm)) alarm.shelved = *said;
  }
  std::sort(active.begin(), active.end(), [](const ActiveAlarm& a, const ActiveAlarm& b) {
    return std::tie(a.raised.occurrence, a.raised.alarm) < std::tie(b.raised.occurrence, b.raised.alarm);
  });
  return active;
}

const AlarmTransition* RuleEngine::Impl::find_raised(const std::string& id, std::uint32_t& index) const {
  const auto found =
      std::find_if(raised_.begin(), raised_.end(), [&](const auto& one) { return one.second.alarm == id; });
  if (found == raised_.end()) return nullptr;
  index = found->first;
  return &found->second;
}

void RuleEngine::Impl::mark(AlarmTransition said, const Operator& by, std::vector<AlarmTransition>& out) {
  said.time = by.at;
  said.by = by.name;
  said.note = by.note;
  said.cause = position_;
  marks_.take(said);
  out.push_back(std::move(said));
}

/// As a record of an operator begins: the raise that holds, or that there is none.
AlarmTransition RuleEngine::Impl::describe(std::uint32_t index) const {
  AlarmTransition said;
  if (const auto raised = raised_.find(index); raised != raised_.end()) {
    said = raised->second;
    said.is_raised = true;
    return said;
  }
  const RuleOptions& rule = alarms_.rule_of(alarms_[index]).options;
  said.alarm = id_of(alarms_[index]);
  said.rule = rule.name;
  said.tag = alarms_.tag_of(alarms_[index]).path;
  said.severity = rule.severity;
  return said;
}

Result<void> RuleEngine::Impl::acknowledge(const std::string& id, const Operator& by, std::vector<AlarmTransition>& out,
                                           std::optional<Position> seen) {
  adopt_passed(position_);
  std::uint32_t index = 0;
  const AlarmTransition* const raised = find_raised(id, index);
  if (raised == nullptr) return fail(ErrorCode::invalid, "alarm \"" + clip(id) + "\" is not raised");
  if (seen && *seen != raised->occurrence) {
    return fail(ErrorCode::invalid, "alarm \"" + clip(id) + "\" was cleared and raised again since: look at it anew");
  }
  if (marks_.acknowledgement(id, raised->occurrence) != nullptr) return {};
  AlarmTransition said = describe(index);
  said.state = AlarmState::acknowledged;
  mark(std::move(said), by, out);
  track(index);
  return {};
}

Result<void> RuleEngine::Impl::shelve(const std::string& id, WallTime until, const Operator& by,
                                      std::vector<AlarmTransition>& out) {
  adopt_passed(position_);
  const std::string rule = id.substr(0, id.find('/'));
  const std::string tag = id.substr(std::min(rule.size() + 1, id.size()));
  // Whoever asks makes no tags known.
  const auto index = tags_.find(tag) ? alarms_.find(rule, tag) : std::nullopt;
  if (!index) {
    return fail(ErrorCode::invalid,
                "there is no alarm \"" + clip(id) + "\": it is RULE/TAG, of a rule and of a tag that has readings");
  }
  const AlarmTransition* const before = marks_.shelving(id);
  const bool is_repeat = before != nullptr && before->by == by.name && before->note == by.note &&
                         std::chrono::abs(until - before->until) < kSameEnd;
  if (is_repeat) return {};
  AlarmTransition said = describe(*index);
  said.state = AlarmState::shelved;
  said.until = until;
  mark(std::move(said), by, out);
  std::erase(shelved_here_, id);
  shelved_here_.push_back(id);
  return {};
}

Result<void> RuleEngine::Impl::unshelve(const std::string& id, const Operator& by, std::vector<AlarmTransition>& out) {
  const AlarmTransition* const shelved = marks_.shelving(id);
  const auto index = shelved == nullptr ? std::nullopt : alarms_.find(shelved->rule, shelved->tag);
  if (!index) return fail(ErrorCode::invalid, "alarm \"" + clip(id) + "\" is not shelved");
  AlarmTransition said = describe(*index);
  said.state = AlarmState::unshelved;
  mark(std::move(said), by, out);
  std::erase(shelved_here_, id);
  return {};
}

void RuleEngine::Impl::end_shelving(WallTime now, std::vector<AlarmTransition>& out) {
  const auto next = marks_.next_end();
  if (!next || *next > now) return;
  std::vector<std::string> over;
  for (const auto& [id, said] : marks_.shelved()) {
    if (said.until <= now) over.push_back(id);
  }
  for (const std::string& id : over) (void)unshelve(id, {"", "its time is over", now}, out);
}

RuleEngine::RuleEngine(std::vector<RuleOptions> rules, TagRegistry& tags)
    : impl_(std::make_unique<Impl>(std::move(rules), tags)) {}
RuleEngine::~RuleEngine() = default;

void RuleEngine::apply(const RecordBatch& batch, std::vector<AlarmTransition>& out) { impl_->apply(batch, out); }
void RuleEngine::tick(const FrameTimes& now, const BootId& boot_id, std::vector<AlarmTransition>& out) {
  impl_->tick(now, boot_id, out);
}
std::optional<BootTime> RuleEngine::next_deadline() const { return impl_->next_deadline(); }
std::string RuleEngine::save() const { return encode_state(impl_->to_saved()); }

Result<void> RuleEngine::restore(std::string_view saved) {
  Result<SavedState> state = decode_state(saved);
  impl_->reset();
  if (!state) return tl::unexpected(state.error());
  impl_->restore(std::move(*state));
  return {};
}

Result<void> RuleEngine::acknowledge(const std::string& alarm, const Operator& by, std::vector<AlarmTransition>& out,
                                     std::optional<Position> seen) {
  return impl_->acknowledge(alarm, by, out, seen);
}
Result<void> RuleEngine::shelve(const std::string& alarm, WallTime until, const Operator& by,
                                std::vector<AlarmTransition>& out) {
  return impl_->shelve(alarm, until, by, out);
}
Result<void> RuleEngine::unshelve(const std::string& alarm, const Operator& by, std::vector<AlarmTransition>& out) {
  return impl_->unshelve(alarm, by, out);
}
void RuleEngine::end_shelving(WallTime now, std::vector<AlarmTransition>& out) { impl_->end_shelving(now, out); }
void RuleEngine::clock_was_set(Duration by) { impl_->clock_was_set(by); }
std::optional<WallTime> RuleEngine::next_end_of_shelving() const { return impl_->marks().next_end(); }
std::vector<AlarmTransition> RuleEngine::shelved() const {
  std::vector<AlarmTransition> shelved;
  for (const auto& [id, said] : impl_->marks().shelved()) shelved.push_back(said);
  return shelved;
}

void RuleEngine::observe_logged(const AlarmTransition& transition) { impl_->observe_logged(transition); }
Position RuleEngine::position() const { return impl_->position(); }
std::vector<ActiveAlarm> RuleEngine::active() const { return impl_->active(); }
std::vector<std::string> RuleEngine::idle_rules() const { return impl_->idle_rules(); }

}  // namespace tidegate::rules
