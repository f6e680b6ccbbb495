#include "daemon/dead_letters_api.h"

#include <simdjson.h>

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "core/log.h"
#include "core/parse_whole.h"
#include "core/text.h"
#include "daemon/gateway.h"
#include "daemon/json_writer.h"

namespace tidegate::daemon {
namespace {

constexpr std::string_view kList = "/api/v1/deadletters";
constexpr std::string_view kDrop = "/api/v1/deadletters/drop";
constexpr std::size_t kLettersMax = 50;  // of one answer: each may be as large as a record can be

struct DropOrder {
  std::string uplink;
  std::optional<std::vector<std::uint64_t>> ids;  // nothing: all
};

void put_letter(JsonWriter& json, const buffer::DeadLetter& letter) {
  json.begin_object().member("id", letter.id).member("uplink", letter.uplink);
  json.member("stream", to_string(letter.stream)).member("epoch", letter.at.epoch).member("seq", letter.at.sequence);
  json.member("time",
              std::int64_t{std::chrono::floor<std::chrono::milliseconds>(letter.time.time_since_epoch()).count()});
  json.member("reason", letter.reason).key("record").raw(letter.record).end_object();
}

AdminResponse answer_of(const std::vector<buffer::DeadLetter>& letters, std::size_t limit) {
  AdminResponse response;
  JsonWriter json(response.body);
  json.begin_object().key("dead_letters").begin_array();
  for (const auto& letter : letters) put_letter(json, letter);
  json.end_array().member("next", letters.empty() ? std::uint64_t{0} : letters.back().id);
  json.member("end", letters.size() < limit).end_object();
  return response;
}

// Nothing when it is no whole number.
std::optional<std::uint64_t> number_of(const AdminRequest& request, const std::string& name, std::uint64_t fallback) {
  const auto found = request.query.find(name);
  return found == request.query.end() ? fallback : parse_whole<std::uint64_t>(found->second);
}

void list(Gateway& gateway, const AdminRequest& request, const AdminRespond& respond) {
  if (request.method != "GET" && request.method != "HEAD") return respond(refuse(405, "only GET is answered here"));
  const auto after = number_of(request, "after", 0);
  const auto limit = number_of(request, "limit", kLettersMax);
  if (!after) return respond(refuse(400, "after: an id, as the member \"next\" of an answer before"));
  if (!limit || *limit == 0 || *limit > kLettersMax) return respond(refuse(400, "limit: a whole number from 1 to 50"));
  const auto uplink = request.query.find("uplink");
  gateway.dead_letters().list(uplink == request.query.end() ? std::string() : uplink->second, *after, *limit,
                              [respond, limit = *limit](const Result<std::vector<buffer::DeadLetter>>& letters) {
                                respond(letters ? answer_of(*letters, limit) : refuse(500, letters.error().message));
                              });
}

Result<std::vector<std::uint64_t>> parse_ids(simdjson::dom::element value) {
  const auto wrong = [] { return fail(ErrorCode::invalid, "ids: an array of ids is wanted, such as [3,4]"); };
  std::vector<std::uint64_t> ids;
  simdjson::dom::array array;
  if (value.get(array) != simdjson::SUCCESS) return wrong();
  for (const auto item : array) {
    std::uint64_t id = 0;
    if (item.get(id) != simdjson::SUCCESS) return wrong();
    ids.push_back(id);
  }
  return ids;
}

Result<DropOrder> parse_order(const std::string& body) {
  simdjson::dom::parser parser;
  simdjson::dom::object root;
  if (parser.parse(body).get(root) != simdjson::SUCCESS) {
    return fail(ErrorCode::invalid, R"(the body is not a JSON object such as {"uplink":"lake","ids":[3,4]})");
  }
  DropOrder order;
  bool all = false;
  for (const auto member : root) {
    std::string_view text;
    if (member.key == "uplink" && member.value.get(text) == simdjson::SUCCESS) {
      order.uplink = std::string(text);
    } else if (member.key == "ids") {
      auto ids = parse_ids(member.value);
      if (!ids) return tl::unexpected(ids.error());
      order.ids = std::move(*ids);
    } else if (member.key != "all" || member.value.get(all) != simdjson::SUCCESS) {
      return fail(ErrorCode::invalid,
                  "member " + clip(member.key) + ": known are uplink (a text), ids (an array), all (true or false)");
    }
  }
  if (order.uplink.empty()) return fail(ErrorCode::invalid, "uplink: the name of the uplink is wanted");
  if (all == order.ids.has_value()) return fail(ErrorCode::invalid, "either \"ids\" or \"all\":true is wanted");
  return order;
}

void drop(Gateway& gateway, const AdminRequest& request, const AdminRespond& respond) {
  if (request.method != "POST") return respond(refuse(405, "dead letters are dropped by POST"));
  // Which a page of another site cannot send without asking first.
  if (!request.content_type.starts_with("application/json")) {
    return respond(refuse(415, "the content type is to be application/json"));
  }
  const auto order = parse_order(request.body);
  if (!order) return respond(refuse(400, order.error().message));
  gateway.dead_letters().drop(order->uplink, order->ids, [order = *order, respond](const Result<std::uint64_t>& done) {
    if (!done) return respond(refuse(500, done.error().message));
    log_info("uplink", "{}: {} dead letters are dropped, as was asked for", order.uplink, *done);
    AdminResponse response;
    JsonWriter(response.body).begin_object().member("uplink", order.uplink).member("dropped", *done).end_object();
    respond(std::move(response));
  });
}

}  // namespace

bool is_dead_letters_path(std::string_view path) { return path == kList || path == kDrop; }

void answer_dead_letters(Gateway& gateway, const AdminRequest& request, const AdminRespond& respond) {
  if (!gateway.is_ready()) return respond(refuse(503, "not ready"));
  request.path == kList ? list(gateway, request, respond) : drop(gateway, request, respond);
}

}  // namespace tidegate::daemon
