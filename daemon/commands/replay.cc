#include <simdjson.h>
#include <unistd.h>

#include <iostream>

#include "core/counted.h"
#include "core/text.h"
#include "daemon/admin/admin_client.h"
#include "daemon/admin/percent_encode.h"
#include "daemon/commands/ask.h"
#include "daemon/json_members.h"
#include "daemon/json_writer.h"

namespace tidegate::daemon {
namespace {

constexpr unsigned kConflict = 409;

std::string target_of(const ReplayOptions& options) {
  return "/api/v1/uplinks/" + percent_encode(options.uplink) + "/replay";
}

Result<AdminAnswer> ask_for(const AdminDoor& door, const ReplayOptions& options, bool may_skip) {
  std::string body;
  JsonWriter(body)
      .begin_object()
      .member("stream", options.stream)
      .member("from", options.from)
      .member("skip", may_skip)
      .end_object();
  return admin_ask(door, "POST", target_of(options), body, kAdminPatience);
}

// What the daemon says would be skipped.
std::string question_in(const AdminAnswer& answer) {
  simdjson::dom::parser parser;
  simdjson::dom::element root;
  if (parser.parse(answer.body).get(root) != simdjson::SUCCESS) return clip(answer.body);
  return std::string(json::text_of(root, "error"));
}

bool ask_terminal(const std::string& question) {
  std::cerr << question << "\nSkip them? [y/N] " << std::flush;
  std::string said;
  std::getline(std::cin, said);
  return said == "y" || said == "Y" || said == "yes";
}

}  // namespace

int replay_uplink(const ReplayOptions& options) {
  const auto door = find_daemon(options.daemon);
  if (!door) return report_failure(door.error().message);
  const std::string target = target_of(options);
  const bool asks = !options.skip && ::isatty(STDIN_FILENO) == 1;
  auto asked = ask_for(*door, options, options.skip.value_or(!asks));
  if (asked && asked->status == kConflict) {
    const std::string question = question_in(*asked);
    if (!asks) return report_failure(question + "; with --skip it is done");
    if (!ask_terminal(question)) return report_failure("nothing is skipped, and nothing has changed");
    asked = ask_for(*door, options, true);
  }
  const auto answer = admin_body(*door, target, asked);
  if (!answer) return report_failure(answer.error().message);
  simdjson::dom::parser parser;
  simdjson::dom::element root;
  std::string_view from;
  std::uint64_t again = 0;
  std::uint64_t skipped = 0;
  if (parser.parse(*answer).get(root) != simdjson::SUCCESS || root["from"].get(from) != simdjson::SUCCESS ||
      root["replayed"].get(again) != simdjson::SUCCESS || root["skipped"].get(skipped) != simdjson::SUCCESS) {
    return report_failure(not_understood(*answer));
  }
  std::cout << options.uplink << " goes on with " << options.stream << " at " << from << ": "
            << counted(again, "record") << " given again, " << skipped << " skipped\n";
  // The cursor is moved, as far back as there is something: that is no failure.
  if (std::string_view note; root["note"].get(note) == simdjson::SUCCESS) std::cerr << note << '\n';
  return kExitDone;
}

}  // namespace tidegate::daemon
