#include <simdjson.h>

#include <iostream>

#include "core/counted.h"
#include "core/text.h"
#include "daemon/admin_client.h"
#include "daemon/commands/ask.h"
#include "daemon/json_members.h"
#include "daemon/json_writer.h"
#include "daemon/percent_encode.h"

namespace tidegate::daemon {
namespace {

constexpr unsigned kConflict = 409;

// The daemon's question, as the one who types has to answer it.
std::string question_in(const AdminAnswer& answer) {
  simdjson::dom::parser parser;
  simdjson::dom::element root;
  if (parser.parse(answer.body).get(root) != simdjson::SUCCESS) return clip(answer.body);
  const std::string_view text = json::text_of(root, "error");
  return std::string(text.substr(0, text.rfind(';'))) + "; with --skip it is done";
}

}  // namespace

int replay_uplink(const ReplayOptions& options) {
  const auto door = find_daemon(options.daemon);
  if (!door) return report_failure(door.error().message);
  std::string body;
  JsonWriter json(body);
  json.begin_object().member("stream", options.stream).member("from", options.from);
  if (options.skip) json.member("skip", true);
  json.end_object();
  const std::string target = "/api/v1/uplinks/" + percent_encode(options.uplink) + "/replay";
  const auto asked = admin_ask(*door, "POST", target, body, kAdminPatience);
  if (asked && asked->status == kConflict) return report_failure(question_in(*asked));
  const auto answer = admin_body(*door, target, asked);
  if (!answer) return report_failure(answer.error().message);
  simdjson::dom::parser parser;
  simdjson::dom::element root;
  std::string_view from;
  std::uint64_t again = 0;
  std::uint64_t skipped = 0;
  if (parser.parse(*answer).get(root) != simdjson::SUCCESS || root["from"].get(from) != simdjson::SUCCESS ||
      root["replayed"].get(again) != simdjson::SUCCESS || root["skipped"].get(skipped) != simdjson::SUCCESS) {
    return report_failure("the daemon's answer is not what this version understands: " + *answer);
  }
  std::cout << options.uplink << " goes on with " << options.stream << " at " << from << ": "
            << counted(again, "record") << " given again, " << skipped << " skipped\n";
  // The cursor is moved, as far back as there is something: that is no failure.
  if (std::string_view note; root["note"].get(note) == simdjson::SUCCESS) std::cerr << note << '\n';
  return kExitDone;
}

}  // namespace tidegate::daemon
