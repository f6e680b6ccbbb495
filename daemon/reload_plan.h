#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "daemon/config/config.h"

namespace tidegate::daemon {

/// What became of a section of the configuration.
enum class SectionChange : std::uint8_t { added, removed, changed };

/// What a reload does about it.
enum class ReloadEffect : std::uint8_t {
  start,     // a driver or an uplink begins
  stop,      // it ends
  replace,   // it ends, and begins anew with the new settings
  in_place,  // it goes on, and works by the new settings from there on
  restart,   // nothing: the daemon has to be started anew
};

const char* to_string(SectionChange change);
/// "start", "stop", "replace", "in-place", "restart".
const char* to_string(ReloadEffect effect);

struct PlannedChange {
  std::string section;  // "uplink.mqtt"
  std::string name;     // "cloud"; empty for [gateway] and [buffer]
  std::string file;     // where it stands; stood, where it is removed
  std::uint32_t line = 0;
  SectionChange change = SectionChange::changed;
  ReloadEffect effect = ReloadEffect::restart;
  std::vector<KeyChange> keys{};
  std::string note{};  // why, where the keys do not say it

  /// "uplink.mqtt cloud", "gateway".
  std::string title() const;
};

/// What is to be done so that a process that runs with one configuration works by another. Holds no secret.
struct ReloadPlan {
  std::vector<PlannedChange> changes;
  std::uint32_t untouched = 0;  // drivers and uplinks that go on as if nothing had happened

  bool is_empty() const { return changes.empty(); }
  bool needs_restart() const;
  /// What waits for a restart: keys of [gateway] and [buffer] as "buffer.size", the rest by their titles.
  std::vector<std::string> waiting() const;
  const PlannedChange* find(const std::string& section, const std::string& name) const;
};

/// Compares by what settings mean: order of keys, comments, and whether a default is written, make no difference.
/// `wanted` is what the files say.
ReloadPlan plan_reload(const Config& running, const Config& wanted);

}  // namespace tidegate::daemon
