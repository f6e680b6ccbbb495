#include "daemon/admin/replay_api.h"

#include <simdjson.h>

#include <algorithm>
#include <cstdint>
#include <optional>
#include <string>
#include <utility>

#include "core/text.h"
#include "daemon/admin/json_request.h"
#include "daemon/admin/percent_encode.h"
#include "daemon/find_place.h"
#include "daemon/gateway.h"
#include "daemon/json_writer.h"
#include "daemon/offset.h"

namespace tidegate::daemon {
namespace {

constexpr std::string_view kPathBegins = "/api/v1/uplinks/";
constexpr std::string_view kPathEnds = "/replay";
constexpr std::uint64_t kFirstSequence = 1;  // of a new log

struct ReplayOrder {
  std::string uplink;
  Stream stream = Stream::readings;
  buffer::ReadPlace from;
  std::string from_text;
  bool may_skip = true;  // what lies before the place and is not delivered
};

Result<void> take_member(ReplayOrder& order, std::string_view key, const simdjson::dom::element& value) {
  if (key == "skip") {
    if (value.get(order.may_skip) == simdjson::SUCCESS) return {};
    return fail(ErrorCode::invalid, "skip: true or false is wanted, found " + clip(simdjson::minify(value)));
  }
  if (key != "from" && key != "stream") {
    return fail(ErrorCode::invalid, "unknown member " + clip(key) + ": known are from, stream, skip");
  }
  std::string_view text;
  if (value.get(text) != simdjson::SUCCESS) {
    return fail(ErrorCode::invalid, clip(key) + ": a text is wanted, found " + clip(simdjson::minify(value)));
  }
  if (key == "from") {
    order.from_text = std::string(text);
    return {};
  }
  const auto stream = parse_stream(text);
  if (!stream) return fail(ErrorCode::invalid, "stream: allowed are readings, alarms, events, found " + clip(text));
  order.stream = *stream;
  return {};
}

Result<ReplayOrder> parse_order(const std::string& body, WallTime now) {
  simdjson::dom::parser parser;
  simdjson::dom::object root;
  if (parser.parse(body).get(root) != simdjson::SUCCESS) {
    return fail(ErrorCode::invalid, R"(the body is not a JSON object such as {"from":"-2h","stream":"readings"})");
  }
  ReplayOrder order;
  for (const auto member : root) {
    if (auto taken = take_member(order, member.key, member.value); !taken) return tl::unexpected(taken.error());
  }
  const auto from = parse_offset(order.from_text, now);
  if (!from) return tl::unexpected(from.error());
  order.from = *from;
  return order;
}

/// What was asked for and is not in the log any more.
struct GoneBefore {
  std::optional<std::uint64_t> count;  // known when a place was asked for, and no time
  std::string note;
};

// Who asks for "oldest" wants what there is. A place found by its time was the oldest or a later one when it was looked
// for; the ring may have moved on since.
std::optional<GoneBefore> gone_before(const ReplayOrder& order, Position oldest, Position found) {
  const auto kind = order.from.kind;
  const Position asked = order.from.position;
  const bool is_time = kind == buffer::ReadPlace::Kind::time;
  const bool is_gone = (kind == buffer::ReadPlace::Kind::sequence && asked.sequence < oldest.sequence) ||
                       (kind == buffer::ReadPlace::Kind::position && asked < oldest) ||
                       (is_time && found <= oldest && oldest.sequence > kFirstSequence);
  if (!is_gone) return std::nullopt;
  GoneBefore gone;
  if (is_time) {
    gone.note = "the log begins at " + format_position(oldest) + ": what was taken in before that is gone, since " +
                order.from_text + " or not";
    return gone;
  }
  const std::uint64_t first = std::max(asked.sequence, kFirstSequence);
  gone.count = oldest.sequence - std::min(first, oldest.sequence);
  if (*gone.count == 0) return std::nullopt;  // all there ever was, whatever the place before it is called
  gone.note = order.from_text + " is gone: the log begins at " + format_position(oldest) + ", and the " +
              std::to_string(*gone.count) + " records before that are not to be had any more";
  return gone;
}

AdminResponse answer_of(const ReplayOrder& order, const uplink::CursorMove& move,
                        const std::optional<GoneBefore>& gone) {
  AdminResponse response;
  JsonWriter json(response.body);
  json.begin_object().member("uplink", order.uplink).member("stream", to_string(order.stream));
  json.member("from", format_position(move.to)).member("replayed", move.replayed).member("skipped", move.skipped);
  if (gone && gone->count) json.member("gone", *gone->count);
  if (gone) json.member("note", gone->note);
  json.end_object();
  return response;
}

void move_to(Gateway& gateway, const ReplayOrder& order, const Result<std::optional<Position>>& place,
             const AdminRespond& respond) {
  if (!place) return respond(refuse(500, place.error().message));
  const Position end = gateway.log().end(order.stream);
  const std::string ends = "the stream " + std::string(to_string(order.stream)) + " ends at " + format_position(end);
  if (!*place) {
    return respond(refuse(400, "from " + order.from_text + ": no record was taken in at that time or later; " + ends +
                                   ", from=end skips everything"));
  }
  if (**place > end) return respond(refuse(400, "from " + order.from_text + " lies beyond the log: " + ends));
  const auto gone = gone_before(order, gateway.log().oldest(order.stream), **place);
  // A reload may have ended it meanwhile.
  UplinkRunner* const uplink = gateway.find_uplink(order.uplink);
  if (uplink == nullptr) return respond(refuse(404, gateway.no_uplink(order.uplink)));
  if (!order.may_skip) {
    const auto question = Replay::question(*uplink, order.stream, uplink->plan_move(order.stream, **place));
    if (question) return respond(refuse(409, *question));
  }
  gateway.replay().move(*uplink, order.stream, **place, [order, gone, respond](const auto& move) {
    respond(move ? answer_of(order, *move, gone) : refuse(503, move.error().message));
  });
}

}  // namespace

bool is_replay_path(std::string_view path) {
  return path.size() > kPathBegins.size() + kPathEnds.size() && path.starts_with(kPathBegins) &&
         path.ends_with(kPathEnds);
}

void answer_replay(Gateway& gateway, const AdminRequest& request, const AdminRespond& respond) {
  if (request.method != "POST") return respond(refuse(405, "a replay is asked for by POST"));
  if (auto refused = refuse_unless_json(request)) return respond(std::move(*refused));
  if (!gateway.is_ready()) return respond(refuse(503, "not ready"));
  const std::string_view path(request.path);
  const std::string name =
      percent_decode(path.substr(kPathBegins.size(), path.size() - kPathBegins.size() - kPathEnds.size()));
  auto order = parse_order(request.body, gateway.clock().wall_now());
  if (!order) return respond(refuse(400, order.error().message));
  order->uplink = name;
  const UplinkRunner* const uplink = gateway.find_uplink(name);
  if (uplink == nullptr) return respond(refuse(404, gateway.no_uplink(name)));
  const auto& streams = uplink->forwarder().options().streams;
  if (std::find(streams.begin(), streams.end(), order->stream) == streams.end()) {
    return respond(refuse(400, "uplink " + name + " does not carry the stream " + to_string(order->stream)));
  }
  find_place(gateway.log(), gateway.storage(), gateway.loop(), order->stream, order->from,
             [&gateway, order = *order, respond](const auto& place) { move_to(gateway, order, place, respond); });
}

}  // namespace tidegate::daemon
