#include "daemon/status_verdict.h"

#include <spdlog/fmt/fmt.h>
#include <spdlog/fmt/ranges.h>

#include <string_view>
#include <utility>

#include "core/counted.h"
#include "core/text.h"
#include "daemon/json_members.h"

namespace tidegate::daemon {
namespace {

using json::count_of;
using json::each_element;
using json::each_member;
using json::flag_of;
using json::text_of;
using simdjson::dom::element;
using Texts = std::vector<std::string>;

// One is named, of more the lines below tell which.
void put_these(Texts& out, const Texts& names, std::string_view what, std::string_view state) {
  if (names.empty()) return;
  const std::string which = names.size() == 1 ? fmt::format("{} {}", what, names[0]) : counted(names.size(), what);
  out.push_back(fmt::format("{} {}", which, state));
}

void add_name(Texts& names, const element& part) { names.push_back(clip(text_of(part, "name"))); }

void put_log(Texts& out, const element& status) {
  element log;
  if (status["log"].get(log) != simdjson::SUCCESS) return;
  if (!text_of(log, "storage_problem").empty()) out.emplace_back("STORAGE FAILS");
  if (!flag_of(log, "taking_records")) out.emplace_back("log TAKES NO RECORDS");
  Texts full;
  each_member(log, "streams", [&](std::string_view name, const element& stream) {
    if (flag_of(stream, "full")) full.emplace_back(name);
  });
  put_these(out, full, "ring", "FULL");
}

void put_drivers(Texts& out, const element& status) {
  Texts drivers;
  Texts devices;
  each_element(status, "drivers", [&](const element& driver) {
    if (!flag_of(driver, "up")) add_name(drivers, driver);
    each_element(driver, "devices", [&](const element& device) {
      if (!flag_of(device, "up")) add_name(devices, device);
    });
  });
  put_these(out, drivers, "driver", "DOWN");
  put_these(out, devices, "device", "DOWN");
}

bool has_wrong_account(const element& uplink) {
  bool is_wrong = false;
  each_member(uplink, "streams", [&](std::string_view, const element& stream) {
    is_wrong = is_wrong || stream["account_mismatch"].error() == simdjson::SUCCESS;
  });
  return is_wrong;
}

void put_uplinks(Texts& out, const element& status) {
  Texts down;
  Texts refused;
  Texts with_letters;
  Texts wrong;
  each_element(status, "uplinks", [&](const element& uplink) {
    if (!flag_of(uplink, "up")) add_name(down, uplink);
    if (!text_of(uplink, "refused").empty()) add_name(refused, uplink);
    if (count_of(uplink, "dead_letters") > 0) add_name(with_letters, uplink);
    if (has_wrong_account(uplink)) add_name(wrong, uplink);
  });
  put_these(out, wrong, "uplink", "with ACCOUNTS THAT DO NOT HOLD");
  put_these(out, down, "uplink", "DOWN");
  put_these(out, refused, "uplink", "refused by its target");
  put_these(out, with_letters, "uplink", "with dead letters");
}

void put_alarms(Texts& out, const element& status) {
  const std::uint64_t raised = count_of(status, "alarms_active");
  if (raised == 0) return;
  const std::uint64_t unseen = count_of(status, "alarms_unacknowledged");
  out.push_back(counted(raised, "alarm") + " raised" + (unseen == 0 ? "" : fmt::format(", {} unseen", unseen)));
}

Texts troubles_of(const element& status) {
  Texts out;
  if (!flag_of(status, "ready")) out.emplace_back("not ready");
  put_log(out, status);
  put_drivers(out, status);
  put_uplinks(out, status);
  put_alarms(out, status);
  if (text_of(status, "clock") == "unsynced") out.emplace_back("clock unsynced");
  return out;
}

Texts texts_of(const element& status, std::string_view key) {
  Texts texts;
  each_element(status, key, [&](const element& one) {
    std::string_view text;
    if (one.get(text) == simdjson::SUCCESS) texts.push_back(clip(text));
  });
  return texts;
}

}  // namespace

std::vector<std::string> idle_rules_of(const element& status) { return texts_of(status, "rules_without_tag"); }

std::vector<std::string> restart_needed_for(const element& status) { return texts_of(status, "restart_needed_for"); }

Verdict verdict_of(const element& status) {
  const Texts troubles = troubles_of(status);
  Texts said{troubles.empty() ? "all is well" : fmt::format("LOOK AT: {}", fmt::join(troubles, "; "))};
  for (const auto& [parts, what] : {std::pair{"drivers", "driver"}, std::pair{"uplinks", "uplink"}}) {
    simdjson::dom::array there;
    if (status[parts].get(there) == simdjson::SUCCESS && there.size() == 0) {
      said.push_back(fmt::format("no {} is configured", what));
    }
  }
  const Texts idle = idle_rules_of(status);
  put_these(said, idle, "rule", idle.size() == 1 ? "matches no tag so far" : "match no tag so far");
  const Texts waiting = restart_needed_for(status);
  put_these(said, waiting, "changed setting", waiting.size() == 1 ? "waits for a restart" : "wait for a restart");
  return {troubles.empty(), fmt::format("{}", fmt::join(said, "; "))};
}

}  // namespace tidegate::daemon
