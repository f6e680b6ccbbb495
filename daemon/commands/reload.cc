// Asks the daemon to read its configuration again, or what that would change.
#include <algorithm>
#include <filesystem>
#include <iostream>

#include "daemon/admin/admin_client.h"
#include "daemon/commands/ask.h"
#include "daemon/commands/problems.h"
#include "daemon/config/admin_address.h"
#include "daemon/reload_text.h"

namespace tidegate::daemon {
namespace {

// Uplinks and drivers end in order, which takes seconds each where a peer does not answer.
constexpr Duration kReloadPatience = std::chrono::minutes(2);

bool is_wrong(const DaemonLocation& location) {
  return location.admin.empty() && !load_gateway_options(location.config_file);
}

Result<ReloadText> text_of(const Result<AdminAnswer>& answer) {
  if (!answer) return tl::unexpected(answer.error());
  return reload_as_text(answer->body).map_error([&answer](const Error& error) {
    return Error{error.code, "the daemon answered " + std::to_string(answer->status) + ": " + error.message};
  });
}

int report_wrong(const ReloadText& text) {
  std::cerr << text.problems;
  report_failure(text.error);
  return kExitConfiguration;
}

// The daemon reads the file that it was started with, with its own credentials: another one says nothing of it.
bool is_file_of(const ReloadText& text, const DaemonLocation& location) {
  std::error_code unknown;
  return !location.admin.empty() || std::filesystem::equivalent(text.config_file, location.config_file, unknown);
}

}  // namespace

int reload_daemon(const DaemonLocation& location) {
  if (is_wrong(location)) return check_config(location.config_file);
  const auto door = find_daemon(location);
  if (!door) return report_failure(door.error().message);
  const auto text = text_of(admin_ask(*door, "POST", "/api/v1/reload", "{}", kReloadPatience));
  if (!text) return report_failure(text.error().message);
  if (text->result == "wrong") return report_wrong(*text);
  std::cerr << text->problems;
  if (text->result != "done") return report_failure(text->error);
  std::cout << text->config_file << (text->changes.empty() ? ": nothing has changed\n" : ": reloaded\n")
            << text->changes;
  if (!text->waiting.empty()) std::cerr << "waits for a restart: " << text->waiting << '\n';
  return kExitDone;
}

int check_against_running(const DaemonLocation& location) {
  if (is_wrong(location)) return check_config(location.config_file);
  const auto door = find_daemon(location);
  if (!door) return report_failure(door.error().message);
  const auto text = text_of(admin_ask(*door, "GET", "/api/v1/reload", "", kAdminPatience));
  if (!text) return report_failure(text.error().message);
  if (!is_file_of(*text, location)) {
    return report_failure("the daemon at " + format_admin_address(door->address) + " runs by " + text->config_file +
                          ", and a reload reads that: put what is in " + location.config_file +
                          " there first, or check it alone, without --against-running");
  }
  if (text->result == "wrong") return report_wrong(*text);
  std::cerr << text->problems;
  std::cout << text->config_file
            << (text->changes.empty() ? " is valid, and a reload would change nothing\n"
                                      : " is valid; a reload would change this:\n")
            << text->changes;
  if (text->waiting.empty()) return kExitDone;
  return report_failure("a reload would not take over all of it, a restart would: " + text->waiting);
}

}  // namespace tidegate::daemon
