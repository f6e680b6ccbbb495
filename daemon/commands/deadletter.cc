#include <simdjson.h>

#include <algorithm>
#include <functional>
#include <iostream>
#include <string>
#include <string_view>
#include <vector>

#include "core/counted.h"
#include "daemon/admin/admin_client.h"
#include "daemon/admin/percent_encode.h"
#include "daemon/commands/ask.h"
#include "daemon/json_writer.h"

namespace tidegate::daemon {
namespace {

constexpr int kUnansweredMost = 3;  // letters in a row that the target does not answer as it should

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

/// Calls `visit` with each, in order; false of it ends that.
using Visit = std::function<bool(const simdjson::dom::element& letter)>;
Result<void> for_each_letter(const AdminDoor& door, const std::string& uplink, const Visit& visit) {
  const std::string of_uplink = uplink.empty() ? "" : "&uplink=" + percent_encode(uplink);
  std::uint64_t after = 0;
  for (bool end = false; !end;) {
    const auto answer = admin_get(door, "/api/v1/deadletters?after=" + std::to_string(after) + of_uplink);
    if (!answer) return tl::unexpected(answer.error());
    simdjson::dom::parser parser;
    simdjson::dom::element root;
    simdjson::dom::array letters;
    if (parser.parse(*answer).get(root) || root["dead_letters"].get(letters) || root["next"].get(after) ||
        root["end"].get(end)) {
      return fail(ErrorCode::corrupt, not_understood(*answer));
    }
    for (const auto letter : letters) {
      if (!visit(letter)) return fail(ErrorCode::corrupt, not_understood(*answer));
    }
  }
  return {};
}

// Somebody may have named one twice.
std::vector<std::uint64_t> once_each(std::vector<std::uint64_t> ids) {
  std::sort(ids.begin(), ids.end());
  ids.erase(std::unique(ids.begin(), ids.end()), ids.end());
  return ids;
}

/// Whether it is delivered; says what became of it.
Result<bool> retry_one(const AdminDoor& door, const std::string& uplink, std::uint64_t id) {
  std::string body;
  JsonWriter(body).begin_object().member("uplink", uplink).key("ids").begin_array().value(id).end_array().end_object();
  const auto answer = admin_post(door, "/api/v1/deadletters/retry", body);
  if (!answer) return tl::unexpected(answer.error());
  simdjson::dom::parser parser;
  simdjson::dom::element root;
  bool delivered = false;
  if (parser.parse(*answer).get(root) || root["delivered"].get(delivered)) {
    return fail(ErrorCode::corrupt, not_understood(*answer));
  }
  std::string_view reason;
  if (root["reason"].get(reason)) reason = "";
  std::cout << id << (delivered ? "  delivered" : "  refused again: ") << reason << '\n';
  return delivered;
}

}  // namespace

int list_dead_letters(const DeadLetterOptions& options) {
  const auto door = find_daemon(options.daemon);
  if (!door) return report_failure(door.error().message);
  bool has_some = false;
  const auto listed = for_each_letter(*door, options.uplink, [&](const auto& letter) {
    has_some = true;
    if (!options.json) return print_letter(letter);
    std::cout << simdjson::minify(letter) << '\n';
    return true;
  });
  if (!listed) return report_failure(listed.error().message);
  if (!has_some) {
    std::cerr << "no dead letter is kept" << (options.uplink.empty() ? "" : " of " + options.uplink) << '\n';
  }
  return kExitDone;
}

int retry_dead_letters(const DeadLetterOptions& options) {
  const auto door = find_daemon(options.daemon);
  if (!door) return report_failure(door.error().message);
  std::vector<std::uint64_t> ids = once_each(options.ids);
  const auto add = [&ids](const auto& letter) { return !letter["id"].get(ids.emplace_back()); };
  if (options.all) {
    if (const auto listed = for_each_letter(*door, options.uplink, add); !listed) {
      return report_failure(listed.error().message);
    }
  }
  std::uint64_t delivered = 0;
  int unanswered = 0;
  for (const std::uint64_t id : ids) {
    const auto done = retry_one(*door, options.uplink, id);
    unanswered = done ? 0 : unanswered + 1;
    if (done && *done) ++delivered;
    if (done) continue;
    const int failure = report_failure(done.error().message);
    if (done.error().code != ErrorCode::retry || unanswered == kUnansweredMost) return failure;
  }
  std::cout << delivered << " of " << ids.size() << " dead letters of " << options.uplink << " are delivered\n";
  return delivered == ids.size() ? kExitDone : kExitFailed;
}

int put_dead_letter(const DeadLetterOptions& options) {
  const auto door = find_daemon(options.daemon);
  if (!door) return report_failure(door.error().message);
  std::string body;
  JsonWriter json(body);
  json.begin_object().member("uplink", options.uplink).member("stream", options.stream);
  json.member("at", options.at).end_object();
  const auto answer = admin_post(*door, "/api/v1/deadletters/put", body);
  if (!answer) return report_failure(answer.error().message);
  std::cout << options.stream << ' ' << options.at << " of " << options.uplink << " is a dead letter\n";
  return kExitDone;
}

int drop_dead_letters(const DeadLetterOptions& options) {
  const auto door = find_daemon(options.daemon);
  if (!door) return report_failure(door.error().message);
  const std::vector<std::uint64_t> ids = once_each(options.ids);
  std::string body;
  JsonWriter json(body);
  json.begin_object().member("uplink", options.uplink);
  if (options.all) json.member("all", true);
  if (!options.all) {
    json.key("ids").begin_array();
    for (const std::uint64_t id : ids) json.value(id);
    json.end_array();
  }
  json.end_object();
  const auto answer = admin_post(*door, "/api/v1/deadletters/drop", body);
  if (!answer) return report_failure(answer.error().message);
  simdjson::dom::parser parser;
  simdjson::dom::element root;
  std::uint64_t dropped = 0;
  if (parser.parse(*answer).get(root) || root["dropped"].get(dropped)) return report_failure(not_understood(*answer));
  std::cout << counted(dropped, "dead letter") << " of " << options.uplink << " dropped\n";
  // What was named and was not there.
  if (!options.all && dropped < ids.size()) {
    return report_failure("of " + options.uplink + " there were only " + std::to_string(dropped) + " with these ids");
  }
  return kExitDone;
}

}  // namespace tidegate::daemon
