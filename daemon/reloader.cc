#include "daemon/reloader.h"

#include <algorithm>
#include <iterator>
#include <map>
#include <utility>

#include "core/log.h"
#include "core/text.h"
#include "daemon/config_parts.h"
#include "daemon/event_record.h"
#include "daemon/rules_change.h"
#include "daemon/uplink_backlog.h"

namespace tidegate::daemon {
namespace {

// An event goes into any log; the rest of it is in the answer and in the log of the service.
constexpr std::size_t kListBytesMax = 500;

std::string list_of(const std::vector<std::string>& items) {
  std::string list;
  for (const std::string& item : items) list += (list.empty() ? "" : ", ") + item;
  return clip(list, kListBytesMax);
}

std::vector<std::string> titles_with(const ReloadPlan& plan, ReloadEffect effect) {
  std::vector<std::string> titles;
  for (const PlannedChange& one : plan.changes) {
    if (one.effect == effect) titles.push_back(one.title());
  }
  return titles;
}

// By the name of the uplink.
void note_left(ReloadPlan& plan, const std::map<std::string, std::string>& left) {
  for (PlannedChange& change : plan.changes) {
    if (change.effect != ReloadEffect::stop || !change.section.starts_with("uplink.")) continue;
    const auto found = left.find(change.name);
    change.note = found == left.end() ? "" : found->second;
  }
}

}  // namespace

ReloadAnswer Reloader::preview() const {
  std::optional<Config> wanted;
  return read(wanted);
}

// Read a second time where something waits for a restart: what stands by default on that, as names of clients on
// gateway.id, must not change before it.
ReloadAnswer Reloader::read(std::optional<Config>& wanted) const {
  const Config& running = *parts_.running;
  ReloadAnswer answer;
  answer.config_file = running.file;
  auto loaded = load_config(running.file);
  if (!loaded) {
    answer.result = ReloadAnswer::Result::wrong;
    answer.problems = std::move(loaded.error());
    return answer;
  }
  answer.problems = loaded->warnings;
  const bool is_beside = loaded->gateway != running.gateway || loaded->buffer != running.buffer;
  auto beside = is_beside ? load_config_beside(running.file, running) : *loaded;
  if (!beside) {
    answer.result = ReloadAnswer::Result::wrong;
    answer.problems = std::move(beside.error());
    answer.failure =
        "it is right for a start, but [gateway] and [buffer] stay as they are until a restart, and beside them it is "
        "wrong";
    return answer;
  }
  wanted = std::move(*beside);
  wanted->gateway = loaded->gateway;
  wanted->buffer = loaded->buffer;
  answer.plan = plan_reload(running, *wanted);
  note_left(answer.plan, left_behind(*parts_.uplinks, answer.plan));
  return answer;
}

void Reloader::reload(Done done) {
  if (is_stopped_) return;
  if (!asked_.empty()) return asked_behind_.push_back(std::move(done));
  asked_.push_back(std::move(done));
  begin();
}

void Reloader::stop() {
  is_stopped_ = true;
  parts_.swap->cancel();
}

void Reloader::begin() {
  parts_.service->reloading();
  answer_ = read(wanted_);
  if (!wanted_) {
    report_wrong();
    return finish();
  }
  waiting_ = answer_.plan.waiting();
  parts_.before_start(*wanted_);
  parts_.swap->run(answer_.plan, *parts_.running, *wanted_,
                   [this](const PartSwap::Outcome& outcome) { on_swapped(outcome); });
}

void Reloader::on_swapped(const PartSwap::Outcome& outcome) {
  if (outcome.failure.empty()) {
    answer_.result = ReloadAnswer::Result::done;
    // Less than at the beginning, where they could still send.
    note_left(answer_.plan, outcome.left);
    for (const auto& [uplink, what] : outcome.left) log_warning("uplink", "{} is stopped with {}", uplink, what);
    take_over();
    report_done();
  } else {
    answer_.result = ReloadAnswer::Result::failed;
    drop_missing(outcome.missing);
    report_failure(outcome);
  }
  finish();
}

void Reloader::finish() {
  wanted_.reset();
  parts_.after_turn();
  parts_.service->ready();
  for (const Done& done : std::exchange(asked_, {})) done(answer_);
  answer_ = {};
  if (asked_behind_.empty()) return;
  asked_ = std::exchange(asked_behind_, {});
  begin();
}

// With the parts of the file that stay as they are until a restart.
void Reloader::take_over() {
  Config& running = *parts_.running;
  if (wanted_->rules != running.rules) {
    change_rules(wanted_->rules, *parts_.pipeline, *parts_.tags, *parts_.clock, parts_.log->end(Stream::readings));
  }
  take_users();
  read_files_anew();
  const PlannedChange* const gateway = answer_.plan.find("gateway", "");
  const bool takes_gateway = gateway != nullptr && gateway->effect == ReloadEffect::in_place;  // its token alone
  if (!takes_gateway) wanted_->gateway = running.gateway;
  wanted_->buffer = running.buffer;
  const auto stays = [takes_gateway](const SectionSettings& section) {
    return section.section == "buffer" || (section.section == "gateway" && !takes_gateway);
  };
  std::vector<SectionSettings>& sections = wanted_->sections;
  std::erase_if(sections, stays);
  std::copy_if(running.sections.begin(), running.sections.end(), std::back_inserter(sections), stays);
  running = std::move(*wanted_);
}

// What users may do goes by their names: a new list beside the rights of before could give somebody more than either.
// So it is taken alone, or the whole listener begins anew.
void Reloader::take_users() {
  for (const drivers::MqttListenerOptions& listener : wanted_->mqtt_listeners) {
    const PlannedChange* const change = answer_.plan.find("driver.mqtt_listener", listener.name);
    if (change == nullptr || change->effect != ReloadEffect::in_place) continue;
    for (const auto& source : parts_.pipeline->sources()) {
      if (source.driver->name() != listener.name || !source.driver->take_users(listener.users)) continue;
      log_info("gateway", "driver {}: logins go by the new users from here on; who is connected stays", listener.name);
    }
  }
}

// The next reload finds them as new ones, and tries again.
void Reloader::drop_missing(const std::vector<MissingPart>& missing) {
  for (const MissingPart& part : missing) remove_part(*parts_.running, part.section, part.name);
}

void Reloader::read_files_anew() {
  for (const auto& source : parts_.pipeline->sources()) {
    if (auto read = source.driver->read_files_anew(); !read) {
      log_warning("gateway", "driver {}: {}; it goes on with what was there before", source.driver->name(),
                  read.error().message);
    }
  }
}

void Reloader::record_failure(const std::string& reason) {
  parts_.pipeline->record_event(
      event_record("reload-failed", parts_.clock->wall_now(), {{"reason", clip(reason, kListBytesMax)}}));
}

void Reloader::report_wrong() {
  std::string first;
  for (const Problem& problem : answer_.problems) {
    log_error("config", "{}", format_problem(problem));
    if (first.empty() && problem.kind == ProblemKind::error) first = format_problem(problem);
  }
  log_error("config", "{} is wrong: nothing was changed{}", answer_.config_file,
            answer_.failure.empty() ? "" : "; " + answer_.failure);
  record_failure(first);
}

// Which state results, part by part, where it is not simply the one of before.
void Reloader::report_failure(const PartSwap::Outcome& outcome) {
  std::string& text = answer_.failure;
  text = outcome.failure + ": the configuration of before goes on";
  std::vector<std::string> again;
  std::vector<std::string> missing;
  for (const MissingPart& part : outcome.missing) missing.push_back(part.section + " " + part.name);
  for (const std::string& title : outcome.disturbed) {
    if (std::find(missing.begin(), missing.end(), title) == missing.end()) again.push_back(title);
  }
  if (again.empty() && missing.empty()) text += ", untouched";
  if (!again.empty()) text += "; with its settings of before was started again: " + list_of(again);
  if (!missing.empty()) text += "; stopped, and not to be started again until the next reload: " + list_of(missing);
  log_error("gateway", "not reloaded: {}", text);
  record_failure(text);
}

void Reloader::report_done() {
  const ReloadPlan& plan = answer_.plan;
  for (const Problem& problem : answer_.problems) log_warning("config", "{}", format_problem(problem));
  const std::string started = list_of(titles_with(plan, ReloadEffect::start));
  const std::string stopped = list_of(titles_with(plan, ReloadEffect::stop));
  const std::string replaced = list_of(titles_with(plan, ReloadEffect::replace));
  const std::string in_place = list_of(titles_with(plan, ReloadEffect::in_place));
  const std::string waiting = list_of(waiting_);
  if (plan.is_empty()) log_info("gateway", "reloaded: nothing has changed");
  const auto say = [](const char* what, const std::string& list) {
    if (!list.empty()) log_info("gateway", "reloaded: {} {}", what, list);
  };
  say("started", started);
  say("stopped", stopped);
  say("began anew", replaced);
  say("changed in place", in_place);
  if (!waiting.empty()) log_warning("gateway", "changed, but taken over only by a restart: {}", waiting);
  parts_.pipeline->record_event(event_record("reload", parts_.clock->wall_now(),
                                             {{"started", started},
                                              {"stopped", stopped},
                                              {"replaced", replaced},
                                              {"changed", in_place},
                                              {"restart_needed_for", waiting}}));
}

}  // namespace tidegate::daemon
