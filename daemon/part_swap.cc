#include "daemon/part_swap.h"

#include <algorithm>
#include <utility>

#include "core/log.h"
#include "daemon/uplink_backlog.h"
#include "drivers/mqtt_listener/mqtt_listener.h"

namespace tidegate::daemon {
namespace {

constexpr Duration kLookEvery = std::chrono::milliseconds(5);
constexpr Duration kTellEvery = std::chrono::seconds(10);

bool is_driver(const PlannedChange& change) { return change.section.starts_with("driver."); }
bool is_uplink(const PlannedChange& change) { return change.section.starts_with("uplink."); }
bool leaves(const PlannedChange& change) {
  return change.effect == ReloadEffect::stop || change.effect == ReloadEffect::replace;
}

bool joins(const PlannedChange& change) {
  return change.effect == ReloadEffect::start || change.effect == ReloadEffect::replace;
}

bool contains(const std::vector<std::string>& names, const std::string& name) {
  return std::find(names.begin(), names.end(), name) != names.end();
}

// "tidegate.toml:12: driver.modbus line-1: WHY"
template <class Part>
Error at_section(const Config& config, const Part& part, const Error& error) {
  const SectionSettings* const settings = find_settings(config, section_of(part), name_of(part));
  const std::string place = settings == nullptr ? "" : settings->file + ":" + std::to_string(settings->line) + ": ";
  return Error{error.code, place + section_of(part) + " " + name_of(part) + ": " + error.message};
}

// As the parts stand in the configuration, so that they are shown in that order.
template <class Part>
std::size_t place_in(const std::vector<Part>& parts, const std::string& name) {
  const auto found = std::find_if(parts.begin(), parts.end(), [&](const Part& one) { return name_of(one) == name; });
  return static_cast<std::size_t>(found - parts.begin());
}

}  // namespace

PartSwap::PartSwap(Parts parts, Duration grace) : parts_(parts), grace_(grace), timer_(parts.loop->make_timer()) {}

PartSwap::~PartSwap() { cancel(); }

void PartSwap::run(const ReloadPlan& plan, const Config& running, const Config& wanted, Done done) {
  plan_ = &plan;
  running_ = &running;
  wanted_ = &wanted;
  done_ = std::move(done);
  leaving_drivers_.clear();
  leaving_uplinks_.clear();
  bool any = false;
  for (const PlannedChange& change : plan.changes) {
    any = any || ((is_driver(change) || is_uplink(change)) && (leaves(change) || joins(change)));
    if (!leaves(change)) continue;
    if (is_driver(change)) leaving_drivers_.push_back(change.name);
    if (is_uplink(change)) leaving_uplinks_.push_back(change.name);
  }
  if (!any) return finish({});
  if (const auto possible = look_ahead(); !possible) return finish({.failure = possible.error().message});
  told_at_ = parts_.clock->boot_now();
  end_uplinks();
}

void PartSwap::cancel() {
  *alive_ = false;
  timer_->cancel();
  stoppers_.clear();
  done_ = nullptr;
}

// What can be known before anything ends: whether a port is free, but for those that this process gives back.
Result<void> PartSwap::look_ahead() const {
  for (const auto& listener : wanted_->mqtt_listeners) {
    const PlannedChange* const change = plan_->find("driver.mqtt_listener", listener.name);
    if (change == nullptr || !joins(*change)) continue;
    const bool is_ours = std::any_of(running_->mqtt_listeners.begin(), running_->mqtt_listeners.end(),
                                     [&](const auto& ours) { return ours.port == listener.port; });
    if (is_ours) continue;
    if (const auto free = drivers::try_listening(listener); !free) {
      return tl::unexpected(at_section(*wanted_, DriverSettings(&listener), free.error()));
    }
  }
  return {};
}

void PartSwap::end_uplinks() {
  uplinks_ending_ = leaving_uplinks_.size();
  if (uplinks_ending_ == 0) return end_drivers();
  for (const auto& uplink : *parts_.uplinks) {
    if (!contains(leaving_uplinks_, uplink->name())) continue;
    stoppers_.push_back(std::make_unique<Worker>("reload"));
    uplink->leave(*stoppers_.back(), grace_, [this, alive = alive_] {
      if (*alive && --uplinks_ending_ == 0) end_drivers();
    });
  }
}

void PartSwap::end_drivers() {
  stoppers_.clear();  // their threads have nothing more to do
  if (!are_drivers_through() || has_to_wait()) {
    const BootTime now = parts_.clock->boot_now();
    if (now - told_at_ >= kTellEvery) {
      told_at_ = now;
      log_warning("gateway", "the reload waits{}{}",
                  parts_.pipeline->is_stalled() ? ": the log takes no records: " : " for drivers to end",
                  parts_.pipeline->is_stalled() ? parts_.pipeline->stall_reason() : std::string());
    }
    timer_->arm(kLookEvery, [this] { end_drivers(); });
    return;
  }
  save();
}

bool PartSwap::has_to_wait() const { return parts_.pipeline->is_stalled() || parts_.replay->is_busy(); }

// A driver whose thread waits for room in its queue can end only when the queue has been taken: stop and take in turns.
bool PartSwap::are_drivers_through() {
  bool are_through = true;
  bool any = false;
  auto& sources = parts_.pipeline->sources();
  for (std::size_t i = 0; i < sources.size(); ++i) {
    if (!contains(leaving_drivers_, sources[i].driver->name())) continue;
    sources[i].driver->stop();
    bool took = false;
    while (parts_.pipeline->take_from(i)) took = true;
    any = any || took;
    are_through = are_through && !took && parts_.pipeline->is_through(i) && !sources[i].driver->is_leaving();
  }
  if (any || !are_through) parts_.keeper->poke();
  if (!are_through && !any) parts_.keeper->sync_all([](bool) {});
  return are_through;
}

// A start after this one, with other settings again, goes on where they were.
void PartSwap::save() {
  parts_.checkpointer->save_now([this, alive = alive_](bool) {
    if (!*alive) return;
    parts_.keeper->when_idle([this, alive] {
      if (!*alive) return;
      // Meanwhile there may be something again.
      if (!are_drivers_through() || has_to_wait()) return end_drivers();
      exchange();
    });
  });
}

void PartSwap::exchange() {
  Outcome outcome;
  outcome.left = left_behind(*parts_.uplinks, *plan_);
  destroy_leaving();
  if (const auto built = build(*wanted_, nullptr); !built) {
    outcome.failure = built.error().message;
    for (const PlannedChange& change : plan_->changes) {
      if (leaves(change) && (is_driver(change) || is_uplink(change))) outcome.disturbed.push_back(change.title());
      if (!joins(change)) continue;
      if (is_driver(change)) remove_driver(change.name);
      if (is_uplink(change)) remove_uplink(change.name);
    }
    (void)build(*running_, &outcome.missing);
  }
  finish(outcome);
}

void PartSwap::destroy_leaving() {
  for (const auto& uplink : *parts_.uplinks) {
    if (contains(leaving_uplinks_, uplink->name())) parts_.maker->remember(*uplink);
  }
  for (const std::string& name : leaving_uplinks_) remove_uplink(name);
  for (const PlannedChange& change : plan_->changes) {
    if (!is_driver(change) || !leaves(change)) continue;
    if (change.effect == ReloadEffect::stop) {
      for (const auto& source : parts_.pipeline->sources()) {
        if (source.driver->name() == change.name) source.driver->forget();
      }
    }
    remove_driver(change.name);
  }
}

void PartSwap::remove_driver(const std::string& name) {
  auto& sources = parts_.pipeline->sources();
  const auto found =
      std::find_if(sources.begin(), sources.end(), [&](const auto& source) { return source.driver->name() == name; });
  if (found == sources.end()) return;
  parts_.maker->remember(name, found->accepted);
  parts_.tag_writer->forget_drivers();
  sources.erase(found);
  parts_.tags->disown(name);
}

void PartSwap::remove_uplink(const std::string& name) {
  auto& uplinks = *parts_.uplinks;
  std::erase_if(uplinks, [&](const auto& uplink) { return uplink->name() == name; });
}

Result<void> PartSwap::build(const Config& target, std::vector<MissingPart>* missing) {
  auto drivers = build_drivers(target, missing);
  parts_.tag_writer->look_at_drivers();
  if (!drivers) return drivers;
  return build_uplinks(target, missing);
}

// With `missing` it goes on behind what cannot be started.
Result<void> PartSwap::build_drivers(const Config& target, std::vector<MissingPart>* missing) {
  const auto wanted = drivers_of(target);
  auto& sources = parts_.pipeline->sources();
  for (const DriverSettings& settings : wanted) {
    const std::string& name = name_of(settings);
    const bool is_there =
        std::any_of(sources.begin(), sources.end(), [&](const auto& source) { return source.driver->name() == name; });
    if (is_there) continue;
    auto driver = parts_.maker->make(settings);
    const auto started = driver ? (*driver)->start() : Result<void>(tl::unexpected(driver.error()));
    if (started) {
      parts_.pipeline->add_driver(std::move(*driver), parts_.maker->accepted(name));
      continue;
    }
    const Error error = at_section(target, settings, started.error());
    parts_.tags->disown(name);
    if (missing == nullptr) return tl::unexpected(error);
    log_error("gateway", "cannot be started again with its old settings: {}", error.message);
    missing->push_back({section_of(settings), name});
  }
  std::stable_sort(sources.begin(), sources.end(), [&wanted](const auto& one, const auto& other) {
    return place_in(wanted, one.driver->name()) < place_in(wanted, other.driver->name());
  });
  return {};
}

Result<void> PartSwap::build_uplinks(const Config& target, std::vector<MissingPart>* missing) {
  const auto wanted = uplinks_of(target);
  auto& uplinks = *parts_.uplinks;
  for (const UplinkSettings& settings : wanted) {
    const std::string& name = name_of(settings);
    const bool is_there =
        std::any_of(uplinks.begin(), uplinks.end(), [&](const auto& uplink) { return uplink->name() == name; });
    if (is_there) continue;
    auto uplink = parts_.maker->make(settings);
    if (const auto started = uplink->start(); started) {
      uplinks.push_back(std::move(uplink));
    } else {
      const Error error = at_section(target, settings, started.error());
      if (missing == nullptr) return tl::unexpected(error);
      log_error("gateway", "cannot be started again with its old settings: {}", error.message);
      missing->push_back({section_of(settings), name});
    }
  }
  std::stable_sort(uplinks.begin(), uplinks.end(), [&wanted](const auto& one, const auto& other) {
    return place_in(wanted, one->name()) < place_in(wanted, other->name());
  });
  return {};
}

void PartSwap::finish(const Outcome& outcome) {
  const Done done = std::exchange(done_, nullptr);
  done(outcome);
}

}  // namespace tidegate::daemon
