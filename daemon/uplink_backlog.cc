#include "daemon/uplink_backlog.h"

#include <algorithm>
#include <cstdint>
#include <utility>

#include "core/counted.h"

namespace tidegate::daemon {
namespace {

// Cursors go by the name: one of another kind goes on with it.
const PlannedChange* follower_of(const UplinkRunner& uplink, const ReloadPlan& plan) {
  const auto found = std::find_if(plan.changes.begin(), plan.changes.end(), [&](const PlannedChange& change) {
    return change.effect == ReloadEffect::start && change.section.starts_with("uplink.") &&
           change.name == uplink.name();
  });
  return found == plan.changes.end() ? nullptr : &*found;
}

bool is_ended(const UplinkRunner& uplink, const ReloadPlan& plan) {
  return std::any_of(plan.changes.begin(), plan.changes.end(), [&](const PlannedChange& change) {
    return change.effect == ReloadEffect::stop && change.section.starts_with("uplink.") && change.name == uplink.name();
  });
}

std::string left_by(const UplinkRunner& uplink, const ReloadPlan& plan) {
  std::uint64_t left = 0;
  std::string streams;
  for (const Stream stream : uplink.forwarder().options().streams) {
    const std::uint64_t pending = uplink.balance(stream).pending;
    if (pending == 0) continue;
    left += pending;
    streams += (streams.empty() ? "" : ", ") + std::string(to_string(stream)) + " " + std::to_string(pending);
  }
  if (left == 0) return "";
  const std::string undelivered = counted(left, "record") + " not delivered (" + streams + "): ";
  if (const PlannedChange* const follower = follower_of(uplink, plan)) {
    return undelivered + follower->title() + " goes on with them, as far as it has these streams";
  }
  return undelivered + "nothing sends them, and they hold back nothing: they stay in the log until newer ones take " +
         "their place. An uplink that is called " + uplink.name() + " again goes on there until then; one of " +
         "another name begins with the oldest record of the log";
}

}  // namespace

std::map<std::string, std::string> left_behind(const std::vector<std::unique_ptr<UplinkRunner>>& uplinks,
                                               const ReloadPlan& plan) {
  std::map<std::string, std::string> left;
  for (const auto& uplink : uplinks) {
    if (!is_ended(*uplink, plan)) continue;
    if (std::string said = left_by(*uplink, plan); !said.empty()) left[uplink->name()] = std::move(said);
  }
  return left;
}

}  // namespace tidegate::daemon
