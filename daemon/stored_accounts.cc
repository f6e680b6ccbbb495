#include "daemon/stored_accounts.h"

#include <algorithm>
#include <string_view>

namespace tidegate::daemon {
namespace {

constexpr std::string_view kDropped = "dropped/";

// What is not there any more stays in the database: these say how much of it counts.
constexpr const char* kStretches = "lanes/stretches";
constexpr const char* kHasLeft = "lanes/left";

using Accounts = std::map<std::string, std::uint64_t>;

std::string stretch_name(std::size_t index) { return "lanes/" + std::to_string(index) + "/"; }

void put(Accounts& accounts, const std::string& name, Position position) {
  accounts[name + "-epoch"] = position.epoch;
  accounts[name] = position.sequence;
}

std::uint64_t number(const Accounts& accounts, const std::string& name) {
  const auto found = accounts.find(name);
  return found == accounts.end() ? 0 : found->second;
}

Position position(const Accounts& accounts, const std::string& name) {
  return {static_cast<std::uint32_t>(number(accounts, name + "-epoch")), number(accounts, name)};
}

void put_lanes(Accounts& accounts, const uplink::LanePlaces& places) {
  accounts[kStretches] = places.stretches.size();
  accounts[kHasLeft] = places.left_at ? 1 : 0;
  if (places.left_at) put(accounts, "lanes/left-at", *places.left_at);
  if (!places.left_at && places.stretches.empty()) return;
  // The cursor once more: where it is not that of the row any more, a version that knows of no lanes has moved it.
  const uplink::Cursor& oldest = places.stretches.empty() ? places.live : places.stretches[0].cursor;
  put(accounts, stretch_name(0) + "acked", oldest.acked_to);
  put(accounts, stretch_name(0) + "passed", oldest.passed_to);
  put(accounts, "lanes/live-acked", places.live.acked_to);
  put(accounts, "lanes/live-passed", places.live.passed_to);
  for (std::size_t i = 0; i < places.stretches.size(); ++i) {
    const auto& stretch = places.stretches[i];
    put(accounts, stretch_name(i) + "end", stretch.end);
    if (i == 0) continue;
    put(accounts, stretch_name(i) + "acked", stretch.cursor.acked_to);
    put(accounts, stretch_name(i) + "passed", stretch.cursor.passed_to);
  }
}

}  // namespace

Accounts stored_accounts(const uplink::Accounting& counts, bool replay, const uplink::LanePlaces& places) {
  Accounts accounts{
      {"first", counts.first}, {"replay", replay ? 1U : 0U}, {"replayed", counts.replayed}, {"reused", counts.reused}};
  for (const auto& [reason, count] : counts.reasons) accounts[std::string(kDropped) + reason] = count;
  put_lanes(accounts, places);
  return accounts;
}

uplink::LanePlaces places_of(const buffer::StoredCursor& cursor) {
  const Accounts& accounts = cursor.accounts;
  const auto stretch_at = [&](std::size_t index) {
    const std::string name = stretch_name(index);
    return uplink::SkippedStretch{{position(accounts, name + "acked"), position(accounts, name + "passed")},
                                  position(accounts, name + "end")};
  };
  uplink::LanePlaces places{{cursor.acked_to, cursor.passed_to}};
  if (stretch_at(0).cursor != places.live) return places;
  if (number(accounts, kHasLeft) != 0) places.left_at = position(accounts, "lanes/left-at");
  const std::uint64_t stretches = std::min<std::uint64_t>(number(accounts, kStretches), uplink::kStretchesMost);
  for (std::size_t i = 0; i < stretches; ++i) places.stretches.push_back(stretch_at(i));
  if (stretches > 0) places.live = {position(accounts, "lanes/live-acked"), position(accounts, "lanes/live-passed")};
  return places;
}

uplink::Accounting accounting_of(const buffer::StoredCursor& cursor) {
  const auto stored = [&](const char* name) { return number(cursor.accounts, name); };
  uplink::Accounting counts{cursor.delivered,   cursor.filtered, cursor.dropped,
                            stored("replayed"), stored("first"), stored("reused")};
  for (const auto& [name, count] : cursor.accounts) {
    if (name.starts_with(kDropped)) counts.reasons[name.substr(kDropped.size())] = count;
  }
  return counts;
}

bool is_replay(const buffer::StoredCursor& cursor) { return number(cursor.accounts, "replay") != 0; }

}  // namespace tidegate::daemon
