#include <simdjson.h>

#include <iostream>
#include <string>
#include <string_view>

#include "daemon/admin_server.h"
#include "daemon/commands/ask.h"
#include "daemon/json_writer.h"
#include "daemon/percent_encode.h"

namespace tidegate::daemon {
namespace {

int report_strange(const std::string& answer) {
  return report_failure("the daemon's answer is not what this version understands: " + answer);
}

// A line for what it is and why, one for the record.
bool print_letter(const simdjson::dom::element& letter) {
  std::uint64_t id = 0;
  std::uint64_t epoch = 0;
  std::uint64_t sequence = 0;
  std::string_view uplink;
  std::string_view stream;
  std::string_view reason;
  simdjson::dom::element record;
  if (letter["id"].get(id) || letter["epoch"].get(epoch) || letter["seq"].get(sequence) ||
      letter["uplink"].get(uplink) || letter["stream"].get(stream) || letter["reason"].get(reason) ||
      letter["record"].get(record)) {
    return false;
  }
  std::cout << id << "  " << uplink << "  " << stream << " " << epoch << ':' << sequence << "  " << reason << "\n    "
            << simdjson::minify(record) << '\n';
  return true;
}

}  // namespace

int list_dead_letters(const DeadLetterOptions& options) {
  const auto address = find_daemon(options.daemon);
  if (!address) return report_failure(address.error().message);
  const std::string of_uplink = options.uplink.empty() ? "" : "&uplink=" + percent_encode(options.uplink);
  std::uint64_t after = 0;
  for (bool end = false; !end;) {
    const auto answer = admin_get(*address, "/api/v1/deadletters?after=" + std::to_string(after) + of_uplink);
    if (!answer) return report_failure(answer.error().message);
    simdjson::dom::parser parser;
    simdjson::dom::element root;
    simdjson::dom::array letters;
    if (parser.parse(*answer).get(root) || root["dead_letters"].get(letters) || root["next"].get(after) ||
        root["end"].get(end)) {
      return report_strange(*answer);
    }
    for (const auto letter : letters) {
      if (options.json) {
        std::cout << simdjson::minify(letter) << '\n';
      } else if (!print_letter(letter)) {
        return report_strange(*answer);
      }
    }
  }
  return kExitDone;
}

int drop_dead_letters(const DeadLetterOptions& options) {
  const auto address = find_daemon(options.daemon);
  if (!address) return report_failure(address.error().message);
  std::string body;
  JsonWriter json(body);
  json.begin_object().member("uplink", options.uplink);
  if (options.all) json.member("all", true);
  if (!options.all) {
    json.key("ids").begin_array();
    for (const std::uint64_t id : options.ids) json.value(id);
    json.end_array();
  }
  json.end_object();
  const auto answer = admin_post(*address, "/api/v1/deadletters/drop", body);
  if (!answer) return report_failure(answer.error().message);
  simdjson::dom::parser parser;
  simdjson::dom::element root;
  std::uint64_t dropped = 0;
  if (parser.parse(*answer).get(root) || root["dropped"].get(dropped)) return report_strange(*answer);
  std::cout << dropped << " dead letters of " << options.uplink << " are dropped\n";
  // What was named and was not there.
  if (!options.all && dropped < options.ids.size()) {
    return report_failure("of " + options.uplink + " there were only " + std::to_string(dropped) + " with these ids");
  }
  return kExitDone;
}

}  // namespace tidegate::daemon
