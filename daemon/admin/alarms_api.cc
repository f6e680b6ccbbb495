#include "daemon/admin/alarms_api.h"

#include <simdjson.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <limits>
#include <optional>
#include <string>
#include <utility>

#include "core/text.h"
#include "daemon/admin/json_request.h"
#include "daemon/admin/percent_encode.h"
#include "daemon/gateway.h"
#include "daemon/json_writer.h"

namespace tidegate::daemon {
namespace {

constexpr std::string_view kPathBegins = "/api/v1/alarms/";
constexpr std::size_t kNameMax = 64;
constexpr std::size_t kNoteMax = 512;
constexpr Duration kShelvedMost = std::chrono::hours(30 * 24);

enum class Action : std::uint8_t { acknowledge, shelve, unshelve };
constexpr std::array kEnds{std::pair(std::string_view("/ack"), Action::acknowledge),
                           std::pair(std::string_view("/shelve"), Action::shelve),
                           std::pair(std::string_view("/unshelve"), Action::unshelve)};

const std::pair<std::string_view, Action>* find_end(std::string_view path) {
  const auto* const found = std::find_if(kEnds.begin(), kEnds.end(), [path](const auto& end) {
    return path.starts_with(kPathBegins) && path.ends_with(end.first) &&
           path.size() > kPathBegins.size() + end.first.size();
  });
  return found == kEnds.end() ? nullptr : found;
}

struct Order {
  rules::Operator by;
  std::optional<Position> seen;
  Duration shelved_for{};
};

Result<void> take_text(std::string_view text, std::string_view member, std::size_t most, std::string& into) {
  if (text.size() > most) {
    return fail(ErrorCode::invalid, std::string(member) + ": at most " + std::to_string(most) + " bytes, found " +
                                        std::to_string(text.size()));
  }
  into = text;
  return {};
}

Result<void> take_occurrence(simdjson::dom::element value, Order& order) {
  std::uint64_t epoch = 0;
  std::uint64_t sequence = 0;
  if (value["epoch"].get(epoch) != simdjson::SUCCESS || value["seq"].get(sequence) != simdjson::SUCCESS ||
      epoch > std::numeric_limits<std::uint32_t>::max()) {
    return fail(ErrorCode::invalid, R"(occurrence: that of the raise is wanted, such as {"epoch":1,"seq":123})");
  }
  order.seen = Position{static_cast<std::uint32_t>(epoch), sequence};
  return {};
}

Result<void> take_member(simdjson::dom::key_value_pair member, Action action, Order& order) {
  const std::string key = clip(member.key);
  std::string_view text;
  const bool takes_time = action == Action::shelve;
  if (member.key == "occurrence" && action == Action::acknowledge) return take_occurrence(member.value, order);
  if (member.key != "by" && member.key != "note" && (member.key != "for" || !takes_time)) {
    return fail(ErrorCode::invalid, "unknown member " + key + ": known are by, note" +
                                        (takes_time                      ? ", for"
                                         : action == Action::acknowledge ? ", occurrence"
                                                                         : ""));
  }
  if (member.value.get(text) != simdjson::SUCCESS) return fail(ErrorCode::invalid, key + ": a text is wanted");
  if (member.key == "by") return take_text(text, "by", kNameMax, order.by.name);
  if (member.key == "note") return take_text(text, "note", kNoteMax, order.by.note);
  const auto length = parse_duration(text);
  if (!length || *length <= Duration::zero() || *length > kShelvedMost) {
    return fail(ErrorCode::invalid, "for: how long, such as \"1h\", at most \"30d\", found \"" + clip(text) + "\"");
  }
  order.shelved_for = *length;
  return {};
}

Result<Order> parse_order(const std::string& body, Action action) {
  Order order;
  simdjson::dom::parser parser;
  simdjson::dom::object root;
  if (parser.parse(body.empty() ? std::string("{}") : body).get(root) != simdjson::SUCCESS) {
    return fail(ErrorCode::invalid, R"(the body is not a JSON object such as {"by":"ann","note":"on my way"})");
  }
  for (const auto member : root) {
    if (auto taken = take_member(member, action, order); !taken) return tl::unexpected(taken.error());
  }
  if (action == Action::shelve && order.shelved_for == Duration::zero()) {
    return fail(ErrorCode::invalid, "for: how long is wanted, such as \"1h\"");
  }
  return order;
}

unsigned status_of(const Error& error, Action action) {
  if (error.code == ErrorCode::retry) return 503;
  return action == Action::shelve ? 404 : 409;
}

}  // namespace

bool is_alarm_action_path(std::string_view path) { return find_end(path) != nullptr; }

void answer_alarm_action(Gateway& gateway, const AdminRequest& request, const AdminRespond& respond) {
  if (request.method != "POST") return respond(refuse(405, "what is done to an alarm is asked for by POST"));
  if (auto refused = refuse_unless_json(request)) return respond(std::move(*refused));
  if (!gateway.is_ready()) return respond(refuse(503, "not ready"));
  const auto& [end, action] = *find_end(request.path);
  const std::string_view path(request.path);
  const std::string id = percent_decode(path.substr(kPathBegins.size(), path.size() - kPathBegins.size() - end.size()));
  auto order = parse_order(request.body, action);
  if (!order) return respond(refuse(400, order.error().message));
  order->by.at = gateway.clock().wall_now();
  const auto done = gateway.change_alarms([&, action = action](rules::RuleEngine& rules, auto& out) {
    if (action == Action::acknowledge) return rules.acknowledge(id, order->by, out, order->seen);
    if (action == Action::shelve) return rules.shelve(id, order->by.at + order->shelved_for, order->by, out);
    return rules.unshelve(id, order->by, out);
  });
  if (!done) return respond(refuse(status_of(done.error(), action), done.error().message));
  AdminResponse response;
  const char* const state = action == Action::acknowledge ? "acknowledged"
                            : action == Action::shelve    ? "shelved"
                                                          : "unshelved";
  JsonWriter(response.body).begin_object().member("alarm", id).member("state", state).end_object();
  respond(std::move(response));
}

}  // namespace tidegate::daemon
