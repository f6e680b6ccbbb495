#include <simdjson.h>

#include <iostream>

#include "daemon/admin_client.h"
#include "daemon/commands/ask.h"
#include "daemon/json_writer.h"
#include "daemon/percent_encode.h"

namespace tidegate::daemon {

int replay_uplink(const ReplayOptions& options) {
  const auto door = find_daemon(options.daemon);
  if (!door) return report_failure(door.error().message);
  std::string body;
  JsonWriter(body).begin_object().member("stream", options.stream).member("from", options.from).end_object();
  const auto answer = admin_post(*door, "/api/v1/uplinks/" + percent_encode(options.uplink) + "/replay", body);
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
  std::cout << options.uplink << " goes on with " << options.stream << " at " << from << ": " << again
            << " records are given again, " << skipped << " are skipped\n";
  // The cursor is moved, as far back as there is something: that is no failure.
  if (std::string_view note; root["note"].get(note) == simdjson::SUCCESS) std::cerr << note << '\n';
  return kExitDone;
}

}  // namespace tidegate::daemon
