#pragma once

#include <simdjson.h>

#include <string>
#include <vector>

namespace tidegate::daemon {

/// An answer of /api/v1/status at one look.
struct Verdict {
  bool is_well = true;
  std::string text;  // "all is well", or "LOOK AT: " and what wants somebody, the gravest first and a few words each
};

/// Of what is now: what was refused or lost since the start is in the counters. Rules that match no tag are named, and
/// trouble nobody: after a start a tag that comes by MQTT is not known until its first reading. So is it that there is
/// no driver or no uplink, and that a reload has left something to a restart.
Verdict verdict_of(const simdjson::dom::element& status);

/// The rules that match no tag that there is so far.
std::vector<std::string> idle_rules_of(const simdjson::dom::element& status);

/// What a reload has found changed and only a restart takes over.
std::vector<std::string> restart_needed_for(const simdjson::dom::element& status);

}  // namespace tidegate::daemon
