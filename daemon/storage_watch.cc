#include "daemon/storage_watch.h"

#include <spdlog/fmt/fmt.h>

#include <utility>

#include "core/log.h"
#include "core/text.h"
#include "daemon/json_writer.h"

namespace tidegate::daemon {
namespace {

constexpr const char* kAlarm = "tidegate/storage";
// One hiccup is no failure, and one success no recovery.
constexpr int kLooksToRaise = 2;
constexpr int kLooksToClear = 3;
constexpr Duration kSilentAfter = std::chrono::seconds(10);

std::string fill_event(Stream stream, int percent, std::optional<Duration> time_left, WallTime time) {
  std::string document;
  JsonWriter json(document);
  json.begin_object().member("event", "buffer-fill");
  json.member("time", std::int64_t{std::chrono::floor<std::chrono::milliseconds>(time.time_since_epoch()).count()});
  json.member("stream", to_string(stream)).member("percent", std::int64_t{percent});
  if (time_left) {
    json.member("time_left_s", std::int64_t{std::chrono::floor<std::chrono::seconds>(*time_left).count()});
  }
  json.end_object();
  return document;
}

}  // namespace

void StorageWatch::set_raised(bool raised) {
  failed_ = raised;
  raised_by_ = parts_.log->end(Stream::readings);
}

void StorageWatch::observe_logged(const rules::AlarmTransition& logged) {
  if (logged.alarm != kAlarm) return;
  failed_ = logged.state == rules::AlarmState::raised;
  raised_by_ = logged.occurrence;
}

void StorageWatch::look(const Reports& reports) {
  look_at_storage(reports);
  for (const Stream stream : kAllStreams) look_at_fill(stream);
}

std::string StorageWatch::find_problem(const Reports& reports) const {
  if (const auto failure = parts_.log->failure()) return failure->message;
  const bool is_held_back = parts_.log->fill(Stream::readings).is_full;
  if (parts_.pipeline->is_stalled() && !is_held_back) return parts_.pipeline->stall_reason();
  if (!reports.state_failure.empty()) return "state database: " + reports.state_failure;
  if (reports.silent_for < kSilentAfter) return "";
  return fmt::format("the disk has not answered for {} s",
                     std::chrono::floor<std::chrono::seconds>(reports.silent_for).count());
}

void StorageWatch::look_at_storage(const Reports& reports) {
  problem_ = find_problem(reports);
  const bool differs = problem_.empty() == failed_;
  looks_ = differs ? looks_ + 1 : 0;
  if (looks_ < (failed_ ? kLooksToClear : kLooksToRaise)) return;
  looks_ = 0;
  failed_ = !failed_;
  if (failed_) {
    raised_by_ = parts_.log->end(Stream::readings);
    record(rules::AlarmState::raised, problem_);
  } else {
    record(rules::AlarmState::cleared, "the storage works again");
  }
}

void StorageWatch::record(rules::AlarmState state, std::string message) {
  rules::AlarmTransition transition;
  transition.alarm = kAlarm;
  transition.rule = "tidegate";
  transition.tag = "storage";
  transition.state = state;
  transition.severity = rules::Severity::critical;
  transition.message = std::move(message);
  transition.time = parts_.clock->wall_now();
  transition.cause = parts_.log->end(Stream::readings);
  transition.occurrence = raised_by_;
  parts_.pipeline->record_alarms({transition});
}

void StorageWatch::look_at_fill(Stream stream) {
  buffer::FillWatch& watch = fills_[static_cast<std::size_t>(stream)];
  const auto change = watch.update(parts_.log->fill(stream), parts_.clock->boot_now());
  if (!change) return;
  if (!change->rising) {
    log_info("log", "stream {}: less than {} % of its ring wait for an uplink", to_string(stream), change->percent);
    return;
  }
  const auto left = watch.time_left();
  const std::string until =
      left ? "full in " + format_duration(std::chrono::floor<std::chrono::seconds>(*left)) : "not filling at present";
  log_warning("log", "stream {}: {} % of its ring wait for an uplink, {}", to_string(stream), change->percent, until);
  parts_.pipeline->record_event(fill_event(stream, change->percent, left, parts_.clock->wall_now()));
}

}  // namespace tidegate::daemon
