#include "daemon/reload_plan.h"

#include <algorithm>
#include <set>
#include <utility>

#include "daemon/config/settings_text.h"
#include "daemon/config_parts.h"

namespace tidegate::daemon {
namespace {

constexpr const char* kUnsaid = "what its files or the environment say, or an order, is another";

// Found by their name: a driver that has become one of another kind is another driver.
template <class Part>
const Part* find_part(const std::vector<Part>& parts, const Part& wanted) {
  const auto found = std::find_if(parts.begin(), parts.end(), [&](const Part& one) {
    return one.index() == wanted.index() && name_of(one) == name_of(wanted);
  });
  return found == parts.end() ? nullptr : &*found;
}

// With or without users at all is another matter: who is connected has not been asked, or has been for nothing.
bool is_same_but_users(const DriverSettings& before, const DriverSettings& after) {
  const auto* const* const ours = std::get_if<const drivers::MqttListenerOptions*>(&before);
  const auto* const* const theirs = std::get_if<const drivers::MqttListenerOptions*>(&after);
  if (ours == nullptr || theirs == nullptr || (*ours)->users.empty() || (*theirs)->users.empty()) return false;
  drivers::MqttListenerOptions with_theirs = **ours;
  with_theirs.users = (*theirs)->users;
  return with_theirs == **theirs;
}
bool is_same_but_users(const UplinkSettings& /*before*/, const UplinkSettings& /*after*/) { return false; }

// With or without a token at all, the address is another one.
bool is_same_but_token(const GatewayOptions& before, const GatewayOptions& after) {
  if (before.admin_token.empty() || after.admin_token.empty()) return false;
  GatewayOptions with_theirs = before;
  with_theirs.admin_token = after.admin_token;
  return with_theirs == after;
}

std::set<std::string> writable_tags(const Config& config) {
  std::set<std::string> tags;
  for (const drivers::ModbusBusOptions& bus : config.modbus_buses) {
    for (const auto& device : bus.devices) {
      for (const auto& tag : device.tags) {
        if (tag.writable) tags.insert(device.name + "/" + tag.name);
      }
    }
  }
  return tags;
}

ReloadEffect effect_of(SectionChange change) {
  switch (change) {
    case SectionChange::added:
      return ReloadEffect::start;
    case SectionChange::removed:
      return ReloadEffect::stop;
    case SectionChange::changed:
      return ReloadEffect::replace;
  }
  return ReloadEffect::replace;
}

class Planner {
 public:
  Planner(const Config& running, const Config& wanted) : running_(running), wanted_(wanted) {}

  ReloadPlan plan() && {
    compare_gateway();
    compare_buffer();
    compare_parts(drivers_of(running_), drivers_of(wanted_));
    compare_rules();
    compare_parts(uplinks_of(running_), uplinks_of(wanted_));
    announce_writable();
    return std::move(plan_);
  }

 private:
  PlannedChange& add(const std::string& section, const std::string& name, SectionChange change) {
    const SectionSettings* const before = find_settings(running_, section, name);
    const SectionSettings* const after = find_settings(wanted_, section, name);
    PlannedChange& planned = plan_.changes.emplace_back();
    planned.section = section;
    planned.name = name;
    if (const SectionSettings* const place = change == SectionChange::removed ? before : after; place != nullptr) {
      planned.file = place->file;
      planned.line = place->line;
    }
    planned.change = change;
    planned.effect = effect_of(change);
    if (change == SectionChange::changed) {
      planned.keys = compare_settings(before, after);
      if (planned.keys.empty()) planned.note = kUnsaid;
    }
    return planned;
  }

  void compare_gateway() {
    if (running_.gateway == wanted_.gateway) return;
    add("gateway", "", SectionChange::changed).effect =
        is_same_but_token(running_.gateway, wanted_.gateway) ? ReloadEffect::in_place : ReloadEffect::restart;
  }

  // Where the log lies is a matter of gateway.data_dir.
  void compare_buffer() {
    BufferOptions wanted = wanted_.buffer;
    wanted.ring.directory = running_.buffer.ring.directory;
    if (running_.buffer != wanted) add("buffer", "", SectionChange::changed).effect = ReloadEffect::restart;
  }

  template <class Part>
  void compare_parts(const std::vector<Part>& before, const std::vector<Part>& after) {
    for (const Part& part : after) {
      const Part* const running = find_part(before, part);
      if (running == nullptr) {
        add(section_of(part), name_of(part), SectionChange::added);
      } else if (!is_same(*running, part)) {
        auto& planned = add(section_of(part), name_of(part), SectionChange::changed);
        if (is_same_but_users(*running, part)) planned.effect = ReloadEffect::in_place;
      } else {
        ++plan_.untouched;
      }
    }
    for (const Part& part : before) {
      if (find_part(after, part) == nullptr) add(section_of(part), name_of(part), SectionChange::removed);
    }
  }

  // A Sparkplug node says at its birth which tags may be written.
  void announce_writable() {
    if (writable_tags(running_) == writable_tags(wanted_)) return;
    for (const uplink::MqttUplinkOptions& uplink : wanted_.mqtt_uplinks) {
      const std::string& name = uplink.forwarder.name;
      if (!uplink.sparkplug.commands || plan_.find("uplink.mqtt", name) != nullptr) continue;
      PlannedChange& planned = add("uplink.mqtt", name, SectionChange::changed);
      planned.note = "the tags that may be written are others, which a node says at its birth";
      --plan_.untouched;
    }
  }

  void compare_rules() {
    const auto find = [](const Config& config, const std::string& name) {
      const auto found = std::find_if(config.rules.begin(), config.rules.end(),
                                      [&](const rules::RuleOptions& rule) { return rule.name == name; });
      return found == config.rules.end() ? nullptr : &*found;
    };
    for (const rules::RuleOptions& rule : wanted_.rules) {
      const rules::RuleOptions* const before = find(running_, rule.name);
      if (before == nullptr) {
        add("rule", rule.name, SectionChange::added);
      } else if (*before != rule) {
        add("rule", rule.name, SectionChange::changed);
      }
    }
    for (const rules::RuleOptions& rule : running_.rules) {
      if (find(wanted_, rule.name) == nullptr) add("rule", rule.name, SectionChange::removed);
    }
  }

  const Config& running_;
  const Config& wanted_;
  ReloadPlan plan_;
};

}  // namespace

const char* to_string(SectionChange change) {
  switch (change) {
    case SectionChange::added:
      return "added";
    case SectionChange::removed:
      return "removed";
    case SectionChange::changed:
      return "changed";
  }
  return "";
}

const char* to_string(ReloadEffect effect) {
  switch (effect) {
    case ReloadEffect::start:
      return "start";
    case ReloadEffect::stop:
      return "stop";
    case ReloadEffect::replace:
      return "replace";
    case ReloadEffect::in_place:
      return "in-place";
    case ReloadEffect::restart:
      return "restart";
  }
  return "";
}

std::string PlannedChange::title() const { return name.empty() ? section : section + " " + name; }

bool ReloadPlan::needs_restart() const {
  return std::any_of(changes.begin(), changes.end(),
                     [](const PlannedChange& one) { return one.effect == ReloadEffect::restart; });
}

std::vector<std::string> ReloadPlan::waiting() const {
  std::vector<std::string> waiting;
  for (const PlannedChange& one : changes) {
    if (one.effect != ReloadEffect::restart) continue;
    if (!one.name.empty() || one.keys.empty()) waiting.push_back(one.title());
    if (!one.name.empty()) continue;
    for (const KeyChange& key : one.keys) waiting.push_back(one.section + "." + key.key);
  }
  return waiting;
}

const PlannedChange* ReloadPlan::find(const std::string& section, const std::string& name) const {
  const auto found = std::find_if(changes.begin(), changes.end(),
                                  [&](const PlannedChange& one) { return one.section == section && one.name == name; });
  return found == changes.end() ? nullptr : &*found;
}

ReloadPlan plan_reload(const Config& running, const Config& wanted) { return Planner(running, wanted).plan(); }

}  // namespace tidegate::daemon
