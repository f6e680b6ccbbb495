#include "uplink/target_cursor.h"

#include <simdjson.h>
#include <spdlog/fmt/fmt.h>

#include <algorithm>
#include <iterator>
#include <limits>
#include <random>

#include "core/text.h"

namespace tidegate::uplink {
namespace {

using simdjson::dom::element;

Error no_cursor(std::string_view json) {
  constexpr std::size_t kShown = 100;
  return {ErrorCode::invalid, "is no cursor of an uplink: " + clip(json, kShown)};
}

// The texts need no escape: digits and letters that we made.
std::string history_json(const LogHistory& history) {
  return fmt::format(R"("log":"{}","starts":[{}])", history.log, fmt::join(history.starts, ","));
}

std::string positions_json(const Positions& positions) {
  std::string json = "{";
  for (const auto& [stream, next] : positions) {
    fmt::format_to(std::back_inserter(json), R"({}"{}":{{"epoch":{},"next":{}}})", json.size() == 1 ? "" : ",",
                   to_string(stream), next.epoch, next.sequence);
  }
  return json + "}";
}

bool take_marks(const element& root, LogHistory& into) {
  simdjson::dom::array marks;
  std::string_view log;
  if (root["log"].get_string().get(log) != simdjson::SUCCESS || root["starts"].get_array().get(marks)) return false;
  into.log = log;
  for (const element each : marks) {
    std::uint64_t mark = 0;
    if (each.get_uint64().get(mark) != simdjson::SUCCESS) return false;
    into.starts.push_back(mark);
  }
  return std::is_sorted(into.starts.begin(), into.starts.end());
}

bool take_position(const element& from, Position& into) {
  std::uint64_t epoch = 0;
  if (from["epoch"].get_uint64().get(epoch) != simdjson::SUCCESS) return false;
  if (from["next"].get_uint64().get(into.sequence) != simdjson::SUCCESS) return false;
  into.epoch = static_cast<std::uint32_t>(epoch);
  return epoch <= std::numeric_limits<std::uint32_t>::max();
}

bool take_positions(const element& root, Positions& into) {
  simdjson::dom::object streams;
  if (root["streams"].get_object().get(streams) != simdjson::SUCCESS) return false;
  for (const Stream stream : kAllStreams) {
    element place;
    if (streams[to_string(stream)].get(place) != simdjson::SUCCESS) continue;
    if (!take_position(place, into[stream])) return false;
  }
  return true;
}

bool take_earlier(const element& root, TargetCursor& into) {
  element earlier;
  if (root["earlier"].get(earlier) != simdjson::SUCCESS) return true;
  into.earlier.emplace();
  return earlier.is_object() && take_marks(earlier, into.earlier->history) &&
         take_positions(earlier, into.earlier->next);
}

}  // namespace

bool is_of(const TargetCursor& cursor, const LogHistory& log) {
  if (cursor.history.log != log.log) return false;
  if (cursor.history.starts.empty() || log.starts.empty()) return true;
  const std::uint64_t newest = cursor.history.starts.back();
  return std::binary_search(log.starts.begin(), log.starts.end(), newest) ||
         number_of_start(newest) < number_of_start(log.starts.front());
}

std::optional<std::uint64_t> last_common_start(const LogHistory& one, const LogHistory& other) {
  if (one.log != other.log) return std::nullopt;
  const auto found =
      std::find_first_of(one.starts.rbegin(), one.starts.rend(), other.starts.rbegin(), other.starts.rend());
  return found == one.starts.rend() ? std::nullopt : std::optional(*found);
}

void go_on_from(const std::optional<TargetCursor>& found, TargetCursor& cursor) {
  cursor.next.clear();
  cursor.earlier.reset();
  if (!found) return;
  if (is_of(*found, cursor.history)) {
    cursor.next = found->next;
    cursor.earlier = found->earlier;
  } else if (!found->next.empty()) {
    cursor.earlier = {found->history, found->next};
  }
}

void move_to(TargetCursor& cursor, Stream stream, Position next) {
  cursor.next[stream] = next;
  if (!cursor.earlier) return;
  cursor.earlier->next.erase(stream);
  if (cursor.earlier->next.empty()) cursor.earlier.reset();
}

std::string draw_instance() {
  std::random_device random;
  return fmt::format("{:08x}{:08x}", random(), random());
}

std::string describe_successor(std::string_view where, std::string_view gateway, std::string_view uplink,
                               std::string_view instance) {
  return fmt::format(
      "another process sends to this {} as gateway \"{}\", uplink \"{}\" (instance {}), so this one has stopped: give "
      "one of the two another gateway.id or another name, and restart it",
      where, gateway, uplink, instance);
}

std::string to_json(const TargetCursor& cursor) {
  std::string json = fmt::format(R"({{"v":1,{},"instance":"{}","streams":{})", history_json(cursor.history),
                                 cursor.instance, positions_json(cursor.next));
  if (cursor.earlier) {
    json += fmt::format(R"(,"earlier":{{{},"streams":{}}})", history_json(cursor.earlier->history),
                        positions_json(cursor.earlier->next));
  }
  return json + "}";
}

Result<TargetCursor> parse_target_cursor(std::string_view json) {
  simdjson::dom::parser parser;
  element root;
  std::uint64_t version = 0;
  std::string_view instance;
  TargetCursor cursor;
  const bool is_one = parser.parse(json.data(), json.size()).get(root) == simdjson::SUCCESS &&
                      root["v"].get_uint64().get(version) == simdjson::SUCCESS && version == 1 &&
                      take_marks(root, cursor.history) &&
                      root["instance"].get_string().get(instance) == simdjson::SUCCESS &&
                      take_positions(root, cursor.next) && take_earlier(root, cursor);
  if (!is_one) return tl::unexpected(no_cursor(json));
  cursor.instance = instance;
  return cursor;
}

}  // namespace tidegate::uplink
