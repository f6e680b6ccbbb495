#include "daemon/pipeline.h"

#include <algorithm>
#include <cstddef>
#include <span>
#include <string>
#include <utility>

#include "core/log.h"
#include "core/text.h"
#include "daemon/event_record.h"

namespace tidegate::daemon {
namespace {

constexpr std::size_t kPendingDocumentsMax = 10'000;  // events waiting for a log that refuses them
constexpr std::size_t kSliceReadings = 4'096;         // of one append
constexpr std::size_t kReasonBytesMax = 500;
constexpr std::size_t kRefusalsSaid = 16;  // until it takes records again

bool will_never_pass(const Error& error) {
  return error.code == ErrorCode::invalid || error.code == ErrorCode::give_up_item;
}

std::string without_digits(std::string text) {
  std::erase_if(text, [](char c) { return c >= '0' && c <= '9'; });
  return text;
}

}  // namespace

Pipeline::Pipeline(buffer::LogAppender& log, TagRegistry& tags, const Clock& clock, const BootId& boot_id)
    : log_(log),
      tags_(tags),
      clock_(clock),
      boot_id_(boot_id),
      normaliser_(tags),
      rules_(std::make_unique<rules::RuleEngine>(std::vector<rules::RuleOptions>{}, tags)) {}

void Pipeline::add_driver(std::unique_ptr<drivers::Driver> driver, std::uint64_t accepted_before) {
  sources_.push_back({.driver = std::move(driver), .accepted = accepted_before});
}

FrameTimes Pipeline::now() const { return {clock_.wall_now(), clock_.boot_now(), clock_.quality()}; }

// With what the log has refused before. False when it still does.
bool Pipeline::go_on() {
  if (!flush_documents()) return false;
  if (!stalled_) return true;
  const std::size_t source = *stalled_;
  stalled_.reset();
  return store(source);
}

bool Pipeline::take_from(std::size_t source) { return go_on() && take_in(source); }

bool Pipeline::is_through(std::size_t source) const {
  const Source& of = sources_[source];
  return !is_stalled() && !of.unsettled_to && of.undurable.empty();
}

bool Pipeline::turn() {
  if (!go_on()) return false;
  bool any = false;
  for (std::size_t source = 0; source < sources_.size() && !is_stalled(); ++source) any = take_in(source) || any;
  return any;
}

bool Pipeline::take_in(std::size_t source) {
  auto& readings = intake_.readings;
  if (spare_.is_too_much(readings.size() * sizeof(Reading), readings.capacity() * sizeof(Reading))) free_room(readings);
  intake_.clear();
  stored_ = 0;
  sources_[source].driver->collect(intake_);
  if (intake_.empty()) return false;
  record_driver_events(*sources_[source].driver);
  for (const auto& answer : intake_.answers) {
    if (on_answer_) on_answer_(answer);
  }
  if (step_) put_on_new_clock(intake_.readings);
  normaliser_.apply(intake_.readings);
  store(source);
  return true;
}

void Pipeline::clock_was_set(Duration by, WallTime to) {
  step_ = Step{by, to};
  rules_->clock_was_set(by);
  if (stalled_) put_on_new_clock(std::span(intake_.readings).subspan(stored_));
}

// Before a step forward the clock showed less than anything after it. Before a step back it may have shown what it
// shows again by now; only a time that has not come yet is certainly of then.
void Pipeline::put_on_new_clock(std::span<Reading> readings) const {
  const bool forward = step_->by > Duration::zero();
  const WallTime now = clock_.wall_now();
  for (Reading& reading : readings) {
    if (reading.origin != TimeOrigin::ingest) continue;
    if (forward ? reading.time + step_->by <= step_->to : reading.time > now) reading.time += step_->by;
  }
}

// One message can hold any number of readings, the log takes so many a call. The mark of the driver's queue goes with
// the last of them: a kill before that takes the message again as a whole, which repeats readings and loses none.
bool Pipeline::store(std::size_t source) {
  Source& from = sources_[source];
  std::size_t slice = kSliceReadings;
  while (stored_ < intake_.readings.size()) {
    const FrameTimes times = now();
    const std::size_t count = std::min(slice, intake_.readings.size() - stored_);
    const std::uint64_t dropped_before = log_.dropped();
    const auto first = append_slice(count, times);
    // Known at once: a later slice may be refused, and its next try knows nothing of this one.
    if (log_.dropped() > dropped_before) from.unsettled_to = log_.end(Stream::readings);
    if (first) {
      from.accepted += count;
      taken_ += count;
      judge(*first, count, times);
    } else if (count > 1 && (will_never_pass(first.error()) || first.error().code == ErrorCode::full)) {
      slice = count / 2;  // finds the one that is to blame, or what is left of the room
      continue;
    } else if (will_never_pass(first.error())) {
      leave_out(Stream::readings, tag_path(intake_.readings[stored_]), first.error().message);
      slice = kSliceReadings;
    } else {
      note_refusal(first.error());
      stalled_ = source;
      return false;
    }
    stored_ += count;
  }
  if (!record_refusals()) {
    stalled_ = source;
    return false;
  }
  if (!from.unsettled_to) settle(from);
  if (!stall_reason_.empty()) log_info("log", "takes records again");
  stall_reason_.clear();
  said_refusals_.clear();
  return true;
}

void Pipeline::settle(Source& source) {
  source.driver->settled();
  ++source.settles;
  if (!source.driver->waits_for_durable()) return;
  const Position end = log_.end(Stream::readings);
  if (!source.undurable.empty() && source.undurable.back().first == end) {
    source.undurable.back().second = source.settles;
  } else {
    source.undurable.emplace_back(end, source.settles);
  }
  report_durable();  // nothing new may have been written, and the rest be durable already
}

void Pipeline::report_durable() {
  const Position durable = log_.durable(Stream::readings);
  for (Source& source : sources_) {
    std::uint64_t settles = 0;
    for (; !source.undurable.empty() && source.undurable.front().first <= durable; source.undurable.pop_front()) {
      settles = source.undurable.front().second;
    }
    if (settles > 0) source.driver->durable(settles);
  }
}

void Pipeline::drops_recorded(Position end) {
  for (std::size_t i = 0; i < sources_.size(); ++i) {
    Source& source = sources_[i];
    if (!source.unsettled_to || end < *source.unsettled_to) continue;
    source.unsettled_to.reset();
    if (stalled_ != i) settle(source);
  }
}

std::string_view Pipeline::tag_path(const Reading& reading) const {
  const auto index = static_cast<std::size_t>(reading.tag);
  return index < tags_.size() ? std::string_view(tags_.tag(reading.tag).path) : std::string_view();
}

Result<Position> Pipeline::append_slice(std::size_t count, const FrameTimes& times) {
  const bool is_last = stored_ + count == intake_.readings.size();
  const auto mark =
      is_last && intake_.mark ? std::span<const QueueMark>(&*intake_.mark, 1) : std::span<const QueueMark>();
  return log_.append(std::span<const Reading>(intake_.readings).subspan(stored_, count), times, mark);
}

void Pipeline::judge(Position first, std::size_t count, const FrameTimes& times) {
  RecordBatch batch;
  batch.stream = Stream::readings;
  batch.epoch = first.epoch;
  batch.first = first.sequence;
  batch.times = times;
  batch.boot_id = boot_id_;
  const bool whole = count == intake_.readings.size();
  if (whole) {
    batch.readings.swap(intake_.readings);
  } else {
    const auto begin = intake_.readings.begin() + static_cast<std::ptrdiff_t>(stored_);
    batch.readings.assign(begin, begin + static_cast<std::ptrdiff_t>(count));
  }
  transitions_.clear();
  rules_->apply(batch, transitions_);
  if (latest_ != nullptr) latest_->take(batch);
  if (watcher_ != nullptr) watcher_->on_readings(batch);
  if (whole) intake_.readings.swap(batch.readings);  // keeps its capacity
  record_alarms(transitions_);
}

void Pipeline::tick() {
  transitions_.clear();
  const FrameTimes times = now();
  rules_->tick(times, boot_id_, transitions_);
  rules_->end_shelving(times.wall, transitions_);
  record_alarms(transitions_);
}

// The end of a shelving is a time of the wall clock, which may be set before it comes: then it is looked at anew.
std::optional<BootTime> Pipeline::next_deadline() const {
  auto next = rules_->next_deadline();
  if (const auto end = rules_->next_end_of_shelving()) {
    const BootTime at = clock_.boot_now() + (*end - clock_.wall_now());
    next = std::min(next.value_or(at), at);
  }
  return next;
}

Result<void> Pipeline::change_alarms(const AlarmAction& action) {
  if (!pending_alarms_.empty()) return fail(ErrorCode::retry, "the log takes no alarms: " + stall_reason_);
  std::vector<rules::AlarmTransition> changed;
  if (auto done = action(*rules_, changed); !done) return done;
  record_alarms(changed);
  tick();  // the end of a latched alarm may have waited for this
  if (pending_alarms_.empty()) return {};
  return fail(ErrorCode::retry, "it is done, and recorded as soon as the log takes it: " + stall_reason_);
}

void Pipeline::record_alarms(const std::vector<rules::AlarmTransition>& transitions) {
  for (const auto& transition : transitions) {
    log_info("rules", "{} {}: {}", transition.alarm, rules::to_string(transition.state), transition.message);
    pending_alarms_.push_back(rules::to_document(transition));
    if (latest_ != nullptr) latest_->take_alarm(transition);
    if (watcher_ != nullptr) watcher_->on_alarm(transition);
  }
  if (!transitions.empty()) flush_documents();
}

void Pipeline::record_event(std::string document) {
  if (pending_events_.size() >= kPendingDocumentsMax)
    return leave_out(Stream::events, "", "too many events wait for the log");
  pending_events_.push_back(std::move(document));
  flush_documents();
}

void Pipeline::record_driver_events(const drivers::Driver& driver) {
  for (const auto& event : intake_.events) {
    const std::string subject = event.device.empty() ? driver.name() : driver.name() + "/" + event.device;
    const std::string line = event_line(subject, event.event, event.detail);
    if (event.event.ends_with("-down")) {
      log_warning("driver", "{}", line);
    } else {
      log_info("driver", "{}", line);
    }
    record_event(event_record(event.event, clock_.wall_now(),
                              {{"driver", driver.name()}, {"device", event.device}, {"detail", event.detail}}));
  }
}

bool Pipeline::flush_documents() {
  const bool alarms = flush(Stream::alarms, pending_alarms_);
  const bool events = flush(Stream::events, pending_events_);
  return alarms && events && record_refusals();
}

void Pipeline::place_alarms(Position first, std::span<const std::string> documents) {
  if (latest_ == nullptr) return;
  for (const std::string& document : documents) {
    latest_->place_alarm(document, first);
    ++first.sequence;
  }
}

// All at once, and where one of them will never pass, one by one: it takes no other with it.
bool Pipeline::flush(Stream stream, std::vector<std::string>& documents) {
  std::size_t done = 0;
  std::size_t count = documents.size();
  while (done < documents.size()) {
    const auto first = log_.append(stream, std::span<const std::string>(documents).subspan(done, count), now());
    if (!first && !will_never_pass(first.error())) {
      documents.erase(documents.begin(), documents.begin() + static_cast<std::ptrdiff_t>(done));
      note_refusal(first.error());
      return false;
    }
    if (first) {
      if (stream == Stream::alarms) place_alarms(*first, std::span<const std::string>(documents).subspan(done, count));
      done += count;
    } else if (count > 1) {
      count = 1;
    } else {
      leave_out(stream, "", first.error().message);
      ++done;
    }
  }
  documents.clear();
  return true;
}

void Pipeline::leave_out(Stream stream, std::string_view tag, const std::string& why) {
  const auto index = static_cast<std::size_t>(stream);
  ++refused_[index];
  Refusal& refusal = refusals_[index];
  if (refusal.count++ == 0) {
    refusal.tag = tag;
    refusal.reason = clip(why, kReasonBytesMax);
  }
  if (const auto left_out = complaints_.admit(why, clock_.boot_now())) {
    log_error("log", "a record of {} is left out, because the log will never take it: {}{}", to_string(stream), why,
              since_last_line(*left_out));
  }
}

// While the log takes no events they are counted together. False while they wait.
bool Pipeline::record_refusals() {
  if (!pending_events_.empty()) return false;
  for (const Stream stream : kAllStreams) {
    Refusal& refusal = refusals_[static_cast<std::size_t>(stream)];
    if (refusal.count == 0) continue;
    pending_events_.push_back(event_record(
        "log-refused", clock_.wall_now(),
        {{"stream", to_string(stream)}, {"tag", refusal.tag}, {"count", refusal.count}, {"reason", refusal.reason}}));
    refusal = {};
  }
  return flush(Stream::events, pending_events_);
}

// A try each second may name another file each time, and one of each stream in turn.
void Pipeline::note_refusal(const Error& error) {
  stall_reason_ = error.message;
  if (said_refusals_.size() >= kRefusalsSaid || !said_refusals_.insert(without_digits(error.message)).second) return;
  log_error("log", "takes no records, acknowledgements are withheld, trying again: {}", error.message);
}

}  // namespace tidegate::daemon
