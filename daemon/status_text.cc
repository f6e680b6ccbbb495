#include "daemon/status_text.h"

#include <simdjson.h>
#include <spdlog/fmt/fmt.h>

#include <cmath>
#include <iterator>
#include <string_view>

#include "core/counted.h"
#include "daemon/json_members.h"
#include "daemon/status_verdict.h"

namespace tidegate::daemon {
namespace {

using json::count_of;
using json::each_element;
using json::each_member;
using json::flag_of;
using json::seconds_of;
using json::text_of;
using simdjson::dom::element;

std::string counts_of(const element& object, std::string_view key) {
  std::string text;
  each_member(object, key, [&](std::string_view name, const element& value) {
    std::uint64_t count = 0;
    if (value.get(count) != simdjson::SUCCESS || count == 0) return;
    text += fmt::format("{}{} {}", text.empty() ? "" : ", ", name, count);
  });
  return text;
}

const char* up_word(const element& object) { return flag_of(object, "up") ? "up" : "DOWN"; }

void put_drivers(std::string& out, const element& status) {
  each_element(status, "drivers", [&](const element& driver) {
    out += fmt::format("driver {:<16} {:<5} accepted {:>12}  {}\n", text_of(driver, "name"), up_word(driver),
                       count_of(driver, "accepted"), text_of(driver, "detail"));
    if (const auto refused = counts_of(driver, "refused"); !refused.empty()) out += "  refused: " + refused + "\n";
    if (const auto remarked = counts_of(driver, "remarked"); !remarked.empty()) out += "  remarked: " + remarked + "\n";
    each_element(driver, "devices", [&](const element& device) {
      out += fmt::format("  device {:<14} {:<5} {}  {}\n", text_of(device, "name"), up_word(device),
                         counts_of(device, "requests"), text_of(device, "detail"));
    });
  });
}

// Said when it matters: half of the ring waits for an uplink.
void put_fill(std::string& out, const element& stream) {
  const double percent = 100 * seconds_of(stream, "fill");
  if (percent < 50 && !flag_of(stream, "full")) return;
  const double left = seconds_of(stream, "seconds_left");
  out += fmt::format("    {:.0f} % of the ring wait for an uplink{}{}\n", percent,
                     left > 0 ? fmt::format(", full in {:.0f} s", left) : "",
                     flag_of(stream, "full") ? ", FULL: new readings are dropped or held back" : "");
}

void put_log(std::string& out, const element& status) {
  element log;
  if (status["log"].get(log) != simdjson::SUCCESS) return;
  out += fmt::format("log    epoch {}, {} syncs, last {:.1f} ms{}\n", count_of(log, "epoch"), count_of(log, "syncs"),
                     seconds_of(log, "last_sync_seconds") * 1000,
                     flag_of(log, "taking_records") ? "" : ", TAKES NO RECORDS");
  if (const auto problem = text_of(log, "storage_problem"); !problem.empty()) {
    out += fmt::format("  STORAGE FAILS: {}\n", problem);
  }
  if (const auto detail = text_of(log, "detail"); !detail.empty()) out += fmt::format("  {}\n", detail);
  each_member(log, "streams", [&](std::string_view name, const element& stream) {
    out += fmt::format("  {:<9} stored {:>12}  {:>8.1f} MiB  {} to {}, durable {}\n", name, count_of(stream, "stored"),
                       static_cast<double>(count_of(stream, "bytes")) / (1024.0 * 1024.0), text_of(stream, "oldest"),
                       text_of(stream, "end"), text_of(stream, "durable"));
    put_fill(out, stream);
  });
}

void put_uplinks(std::string& out, const element& status) {
  each_element(status, "uplinks", [&](const element& uplink) {
    out += fmt::format("uplink {:<16} {:<5} oldest pending {:.1f} s  {}\n", text_of(uplink, "name"), up_word(uplink),
                       seconds_of(uplink, "delay_seconds"), text_of(uplink, "detail"));
    if (const auto refused = text_of(uplink, "refused"); !refused.empty()) out += fmt::format("  {}\n", refused);
    if (const auto waiting = text_of(uplink, "waiting"); !waiting.empty()) out += fmt::format("  {}\n", waiting);
    if (const std::uint64_t letters = count_of(uplink, "dead_letters"); letters > 0) {
      out += fmt::format("  {} (tidegate deadletter ls), the newest for: {}\n", counted(letters, "dead letter"),
                         text_of(uplink, "last_dead_letter_reason"));
    }
    each_member(uplink, "streams", [&](std::string_view name, const element& stream) {
      out += fmt::format(
          "  {:<9} accepted {:>12} + replayed {} = delivered {:>12} + pending {} + filtered {} + dropped {}", name,
          count_of(stream, "accepted"), count_of(stream, "replayed"), count_of(stream, "delivered"),
          count_of(stream, "pending"), count_of(stream, "filtered"), count_of(stream, "dropped"));
      if (const auto reasons = counts_of(stream, "dropped_by_reason"); !reasons.empty()) out += " (" + reasons + ")";
      element mismatch;
      if (stream["account_mismatch"].get(mismatch) == simdjson::SUCCESS) out += " ACCOUNTS DO NOT HOLD";
      out += "\n";
    });
  });
}

void put_idle_rules(std::string& out, const element& status) {
  for (const auto& rule : idle_rules_of(status)) out += fmt::format("rule   {:<16} matches no tag so far\n", rule);
}

void put_waiting(std::string& out, const element& status) {
  for (const auto& setting : restart_needed_for(status)) {
    out += fmt::format("changed {} waits for a restart\n", setting);
  }
}

}  // namespace

Result<std::string> status_as_text(const std::string& status_json) {
  simdjson::dom::parser parser;
  element status;
  if (const auto problem = parser.parse(status_json).get(status); problem != simdjson::SUCCESS) {
    return fail(ErrorCode::corrupt,
                fmt::format("the daemon's status is not JSON: {}", simdjson::error_message(problem)));
  }
  std::string out =
      fmt::format("gateway {} ({}), {}, up {:.0f} s, clock {}, {}, {} active\n", text_of(status, "gateway"),
                  text_of(status, "version"), flag_of(status, "ready") ? "ready" : "not ready",
                  seconds_of(status, "uptime_seconds"), text_of(status, "clock"),
                  counted(count_of(status, "tags"), "tag"), counted(count_of(status, "alarms_active"), "alarm"));
  out += verdict_of(status).text + "\n";
  put_drivers(out, status);
  put_log(out, status);
  put_uplinks(out, status);
  put_idle_rules(out, status);
  put_waiting(out, status);
  return out;
}

}  // namespace tidegate::daemon
