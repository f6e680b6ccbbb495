#include <pwd.h>
#include <simdjson.h>
#include <spdlog/fmt/chrono.h>
#include <spdlog/fmt/fmt.h>
#include <unistd.h>

#include <cstdlib>
#include <iostream>
#include <optional>
#include <string>
#include <string_view>

#include "core/text.h"
#include "daemon/admin/admin_client.h"
#include "daemon/admin/percent_encode.h"
#include "daemon/commands/ask.h"
#include "daemon/json_members.h"
#include "daemon/json_writer.h"

namespace tidegate::daemon {
namespace {

using json::text_of;
using simdjson::dom::element;

// Who sits here, for the record: it proves nothing.
std::string user_name() {
  if (const char* const name = std::getenv("SUDO_USER"); name != nullptr && *name != '\0') return name;
  const passwd* const user = ::getpwuid(::getuid());
  return user == nullptr ? std::to_string(::getuid()) : user->pw_name;
}

std::string time_of(const element& object, std::string_view key) {
  std::int64_t milliseconds = 0;
  if (object[key].get(milliseconds) != simdjson::SUCCESS) return "";
  constexpr std::int64_t kMillisecondsPerSecond = 1000;
  const auto seconds = static_cast<std::time_t>(milliseconds / kMillisecondsPerSecond);
  std::tm utc{};
  if (::gmtime_r(&seconds, &utc) == nullptr) return std::to_string(milliseconds);
  return fmt::format("{:%Y-%m-%dT%H:%M:%SZ}", utc);
}

std::string by_of(const element& said) {
  const std::string_view by = text_of(said, "by");
  const std::string_view note = text_of(said, "note");
  return (by.empty() ? "" : " by " + clip(by)) + (note.empty() ? "" : ": " + clip(note));
}

// A line for the alarm, one for each thing that somebody has done to it.
void print_alarm(const element& alarm) {
  fmt::print("{:<9}  {}  {}  {}\n", text_of(alarm, "severity"), time_of(alarm, "time"), clip(text_of(alarm, "alarm")),
             clip(text_of(alarm, "message")));
  element said;
  if (!alarm["acknowledged"].get(said))
    fmt::print("           acknowledged {}{}\n", time_of(said, "time"), by_of(said));
  if (!alarm["shelved"].get(said)) fmt::print("           shelved until {}{}\n", time_of(said, "until"), by_of(said));
}

std::optional<element> find_alarm(const simdjson::dom::array& alarms, std::string_view id) {
  for (const auto alarm : alarms) {
    if (text_of(alarm, "alarm") == id) return alarm;
  }
  return std::nullopt;
}

bool print_all(const std::string& answer, bool json) {
  simdjson::dom::parser parser;
  simdjson::dom::array alarms;
  simdjson::dom::array shelved;
  element root;
  if (parser.parse(answer).get(root) || root["alarms"].get(alarms) || root["shelved"].get(shelved)) return false;
  if (json) {
    for (const auto alarm : alarms) std::cout << simdjson::minify(alarm) << '\n';
    for (const auto said : shelved) {
      if (!find_alarm(alarms, text_of(said, "alarm"))) std::cout << simdjson::minify(said) << '\n';
    }
    return true;
  }
  for (const auto alarm : alarms) print_alarm(alarm);
  for (const auto said : shelved) {
    const std::string_view id = text_of(said, "alarm");
    if (!find_alarm(alarms, id))
      fmt::print("not raised  {}  shelved until {}{}\n", clip(id), time_of(said, "until"), by_of(said));
  }
  if (alarms.size() == 0) std::cerr << "no alarm is raised\n";
  return true;
}

// The raise that is acknowledged is the one that holds as this begins, and none that comes meanwhile; nothing where it
// is not raised, which the daemon says better.
std::string occurrence_of(const AdminDoor& door, const std::string& id) {
  const auto answer = admin_get(door, "/api/v1/alarms");
  simdjson::dom::parser parser;
  simdjson::dom::array alarms;
  element root;
  if (!answer || parser.parse(*answer).get(root) || root["alarms"].get(alarms)) return "";
  const auto alarm = find_alarm(alarms, id);
  element occurrence;
  return alarm && !(*alarm)["occurrence"].get(occurrence) ? std::string(simdjson::minify(occurrence)) : std::string();
}

Result<void> do_to_one(const AdminDoor& door, const AlarmsOptions& options, const std::string& alarm) {
  std::string body;
  JsonWriter json(body);
  json.begin_object().member("by", options.by.empty() ? user_name() : options.by);
  if (!options.note.empty()) json.member("note", options.note);
  if (!options.shelve_for.empty()) json.member("for", options.shelve_for);
  if (options.action == AlarmAction::acknowledge) {
    if (const std::string seen = occurrence_of(door, alarm); !seen.empty()) json.key("occurrence").raw(seen);
  }
  json.end_object();
  const auto answer =
      admin_post(door, "/api/v1/alarms/" + percent_encode(alarm) + "/" + to_string(options.action), body);
  if (!answer) return tl::unexpected(answer.error());
  simdjson::dom::parser parser;
  element root;
  if (parser.parse(*answer).get(root)) return fail(ErrorCode::corrupt, not_understood(*answer));
  std::cout << alarm << ' ' << text_of(root, "state") << '\n';
  return {};
}

}  // namespace

const char* to_string(AlarmAction action) {
  switch (action) {
    case AlarmAction::acknowledge:
      return "ack";
    case AlarmAction::shelve:
      return "shelve";
    case AlarmAction::unshelve:
      return "unshelve";
  }
  return "";
}

int list_alarms(const AlarmsOptions& options) {
  const auto door = find_daemon(options.daemon);
  if (!door) return report_failure(door.error().message);
  const auto answer = admin_get(*door, "/api/v1/alarms");
  if (!answer) return report_failure(answer.error().message);
  if (print_all(*answer, options.json)) return kExitDone;
  return report_failure(not_understood(*answer));
}

int change_alarms(const AlarmsOptions& options) {
  const auto door = find_daemon(options.daemon);
  if (!door) return report_failure(door.error().message);
  int exit_code = kExitDone;
  for (const std::string& alarm : options.alarms) {
    if (const auto done = do_to_one(*door, options, alarm); !done) exit_code = report_failure(done.error().message);
  }
  return exit_code;
}

}  // namespace tidegate::daemon
