#include "daemon/stored_accounts.h"

#include <string_view>

namespace tidegate::daemon {
namespace {

constexpr std::string_view kDropped = "dropped/";

}  // namespace

std::map<std::string, std::uint64_t> stored_accounts(const uplink::Accounting& counts, bool replay) {
  std::map<std::string, std::uint64_t> accounts{
      {"first", counts.first}, {"replay", replay ? 1U : 0U}, {"replayed", counts.replayed}, {"reused", counts.reused}};
  for (const auto& [reason, count] : counts.reasons) accounts[std::string(kDropped) + reason] = count;
  return accounts;
}

uplink::Accounting accounting_of(const buffer::StoredCursor& cursor) {
  const auto stored = [&](const char* name) {
    const auto found = cursor.accounts.find(name);
    return found == cursor.accounts.end() ? std::uint64_t{0} : found->second;
  };
  uplink::Accounting counts{cursor.delivered,   cursor.filtered, cursor.dropped,
                            stored("replayed"), stored("first"), stored("reused")};
  for (const auto& [name, count] : cursor.accounts) {
    if (name.starts_with(kDropped)) counts.reasons[name.substr(kDropped.size())] = count;
  }
  return counts;
}

bool is_replay(const buffer::StoredCursor& cursor) {
  const auto found = cursor.accounts.find("replay");
  return found != cursor.accounts.end() && found->second != 0;
}

}  // namespace tidegate::daemon
