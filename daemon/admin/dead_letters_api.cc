#include "daemon/admin/dead_letters_api.h"

#include <simdjson.h>

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "core/counted.h"
#include "core/log.h"
#include "core/parse_whole.h"
#include "core/text.h"
#include "daemon/admin/answer_in_time.h"
#include "daemon/admin/json_request.h"
#include "daemon/dead_letter_id.h"
#include "daemon/gateway.h"
#include "daemon/json_writer.h"

namespace tidegate::daemon {
namespace {

constexpr std::string_view kList = "/api/v1/deadletters";
constexpr std::string_view kDrop = "/api/v1/deadletters/drop";
constexpr std::string_view kRetry = "/api/v1/deadletters/retry";
constexpr std::string_view kPut = "/api/v1/deadletters/put";
constexpr std::size_t kLettersMax = 50;                     // of one answer, which is bounded in bytes too
constexpr Duration kAnswerMost = std::chrono::seconds(25);  // less than a client's patience

struct Order {
  std::string uplink;
  std::optional<std::vector<std::uint64_t>> ids;  // nothing: all
};

struct RecordOfUplink {
  std::string uplink;
  Stream stream = Stream::readings;
  Position at;
};

void put_letter(JsonWriter& json, const buffer::DeadLetter& letter) {
  json.begin_object().member("id", letter.id).member("uplink", letter.uplink);
  json.member("stream", to_string(letter.stream)).member("epoch", letter.at.epoch).member("seq", letter.at.sequence);
  json.member("time",
              std::int64_t{std::chrono::floor<std::chrono::milliseconds>(letter.time.time_since_epoch()).count()});
  json.member("reason", letter.reason).key("record").raw(letter.record).end_object();
}

AdminResponse answer_of(const buffer::DeadLetterPage& page) {
  AdminResponse response;
  JsonWriter json(response.body);
  json.begin_object().key("dead_letters").begin_array();
  for (const auto& letter : page.letters) put_letter(json, letter);
  json.end_array().member("next", page.letters.empty() ? std::uint64_t{0} : page.letters.back().id);
  json.member("end", page.is_last).end_object();
  return response;
}

// Nothing when it is no whole number.
std::optional<std::uint64_t> number_of(const AdminRequest& request, const std::string& name, std::uint64_t fallback) {
  const auto found = request.query.find(name);
  return found == request.query.end() ? fallback : parse_whole<std::uint64_t>(found->second);
}

std::string given(const AdminRequest& request, const std::string& name) { return clip(request.query.at(name)); }

// An uplink that is not configured any more may have left some.
bool is_known(Gateway& gateway, const std::string& uplink) {
  return gateway.find_uplink(uplink) != nullptr || gateway.dead_letters().of(uplink).count > 0;
}

void list(Gateway& gateway, const AdminRequest& request, const AdminRespond& respond) {
  if (request.method != "GET" && request.method != "HEAD") return respond(refuse(405, "only GET is answered here"));
  const auto after = number_of(request, "after", 0);
  const auto limit = number_of(request, "limit", kLettersMax);
  if (!after) {
    return respond(
        refuse(400, "after: " + given(request, "after") + ": an id is wanted, as \"next\" of an answer has it"));
  }
  if (!limit || *limit == 0 || *limit > kLettersMax) {
    return respond(refuse(400, "limit: " + given(request, "limit") + ": a whole number from 1 to 50 is wanted"));
  }
  const auto found = request.query.find("uplink");
  const std::string uplink = found == request.query.end() ? std::string() : found->second;
  if (!uplink.empty() && !is_known(gateway, uplink)) return respond(refuse(404, gateway.no_uplink(uplink)));
  gateway.dead_letters().list(uplink, *after, static_cast<std::size_t>(*limit),
                              [respond](const Result<buffer::DeadLetterPage>& page) {
                                respond(page ? answer_of(*page) : refuse(500, page.error().message));
                              });
}

Result<std::vector<std::uint64_t>> parse_ids(simdjson::dom::element value) {
  const auto wrong = [&] {
    return fail(ErrorCode::invalid, "ids: " + clip(simdjson::minify(value)) +
                                        ": an array of ids is wanted, whole numbers from 1, such as [3,4]");
  };
  std::vector<std::uint64_t> ids;
  simdjson::dom::array array;
  if (value.get(array) != simdjson::SUCCESS) return wrong();
  for (const auto item : array) {
    std::uint64_t id = 0;
    if (item.get(id) != simdjson::SUCCESS || !is_dead_letter_id(id)) return wrong();
    ids.push_back(id);
  }
  return ids;
}

Result<Order> parse_order(const std::string& body) {
  simdjson::dom::parser parser;
  simdjson::dom::object root;
  if (parser.parse(body).get(root) != simdjson::SUCCESS) {
    return fail(ErrorCode::invalid, R"(the body is not a JSON object such as {"uplink":"lake","ids":[3,4]})");
  }
  Order order;
  bool all = false;
  std::set<std::string_view> names;
  for (const auto member : root) {
    std::string_view text;
    // Nothing says which one counts.
    if (!names.insert(member.key).second) {
      return fail(ErrorCode::invalid, "member " + clip(member.key) + " is there twice");
    }
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
  if (all == order.ids.has_value()) {
    return fail(ErrorCode::invalid,
                std::string("either \"ids\" or \"all\":true is wanted, found ") + (all ? "both" : "none"));
  }
  return order;
}

void drop(Gateway& gateway, const Order& order, const AdminRespond& respond) {
  if (!is_known(gateway, order.uplink)) return respond(refuse(404, gateway.no_uplink(order.uplink)));
  gateway.dead_letters().drop(order.uplink, order.ids, [order, respond](const Result<std::uint64_t>& done) {
    if (!done) return respond(refuse(500, done.error().message));
    log_info("uplink", "{}: {} dropped, as was asked for", order.uplink, counted(*done, "dead letter"));
    AdminResponse response;
    JsonWriter(response.body).begin_object().member("uplink", order.uplink).member("dropped", *done).end_object();
    respond(std::move(response));
  });
}

// Which one is named, so that none goes aside that nobody has looked at.
Result<RecordOfUplink> parse_record(const std::string& body) {
  simdjson::dom::parser parser;
  simdjson::dom::object root;
  std::string_view uplink;
  std::string_view stream;
  std::string_view at;
  if (parser.parse(body).get(root) || root["uplink"].get(uplink) || root["stream"].get(stream) || root["at"].get(at)) {
    return fail(ErrorCode::invalid,
                R"(the body is not a JSON object such as {"uplink":"lake","stream":"readings","at":"2:120"})");
  }
  const auto known = parse_stream(stream);
  if (!known) return fail(ErrorCode::invalid, "stream: " + clip(stream) + ": known are readings, alarms, events");
  const auto parts = split(at, ':');
  const auto epoch = parse_whole<std::uint32_t>(parts.front());
  const auto sequence = parse_whole<std::uint64_t>(parts.back());
  if (parts.size() != 2 || !epoch || !sequence) {
    return fail(ErrorCode::invalid, "at: " + clip(at) + ": EPOCH:SEQUENCE is wanted, as the status has it");
  }
  return RecordOfUplink{std::string(uplink), *known, {*epoch, *sequence}};
}

void put(Gateway& gateway, const AdminRequest& request, const AdminRespond& respond) {
  const auto record = parse_record(request.body);
  if (!record) return respond(refuse(400, record.error().message));
  UplinkRunner* const uplink = gateway.find_uplink(record->uplink);
  if (uplink == nullptr) return respond(refuse(404, gateway.no_uplink(record->uplink)));
  uplink->put_aside(record->stream, record->at, [record = *record, respond](const Result<void>& kept) {
    if (!kept) return respond(refuse(kept.error().code == ErrorCode::invalid ? 409 : 503, kept.error().message));
    AdminResponse response;
    JsonWriter json(response.body);
    json.begin_object().member("uplink", record.uplink).member("stream", to_string(record.stream));
    json.member("epoch", record.at.epoch).member("seq", record.at.sequence).end_object();
    respond(std::move(response));
  });
}

AdminResponse answer_to_retry(const Order& order, const Result<void>& sent) {
  const bool is_refused = !sent && sent.error().code == ErrorCode::give_up_item;
  if (!sent && !is_refused) return refuse(sent.error().code == ErrorCode::invalid ? 404 : 503, sent.error().message);
  AdminResponse response;
  JsonWriter json(response.body);
  json.begin_object().member("uplink", order.uplink).member("id", order.ids->front()).member("delivered", !is_refused);
  if (is_refused) json.member("reason", sent.error().message);
  json.end_object();
  return response;
}

// A target that does not answer in time may do so later: then the letter is removed all the same.
void retry(Gateway& gateway, const Order& order, const AdminRespond& respond) {
  if (gateway.find_uplink(order.uplink) == nullptr) return respond(refuse(404, gateway.no_uplink(order.uplink)));
  if (!order.ids || order.ids->size() != 1) {
    return respond(refuse(400, R"(one letter at a time is sent again: {"uplink":"lake","ids":[3]})"));
  }
  const auto in_time = answer_in_time(gateway.loop(), kAnswerMost, respond, "the target has not answered yet");
  const auto send = [&gateway, name = order.uplink](const buffer::DeadLetter& letter, auto sent) {
    UplinkRunner* const uplink = gateway.find_uplink(name);
    if (uplink != nullptr) return uplink->send_letter(letter, std::move(sent));
    sent(fail(ErrorCode::invalid, "a reload has ended uplink " + name));
  };
  gateway.dead_letters().retry(order.uplink, order.ids->front(), send, [order, in_time](const Result<void>& sent) {
    if (sent) log_info("uplink", "{}: dead letter {} is delivered, as was asked for", order.uplink, order.ids->front());
    in_time(answer_to_retry(order, sent));
  });
}

void change(Gateway& gateway, const AdminRequest& request, const AdminRespond& respond) {
  if (request.method != "POST")
    return respond(refuse(405, "dead letters are put aside, dropped and sent again by POST"));
  if (auto refused = refuse_unless_json(request)) return respond(std::move(*refused));
  if (request.path == kPut) return put(gateway, request, respond);
  const auto order = parse_order(request.body);
  if (!order) return respond(refuse(400, order.error().message));
  request.path == kDrop ? drop(gateway, *order, respond) : retry(gateway, *order, respond);
}

}  // namespace

bool is_dead_letters_path(std::string_view path) {
  return path == kList || path == kDrop || path == kRetry || path == kPut;
}

void answer_dead_letters(Gateway& gateway, const AdminRequest& request, const AdminRespond& respond) {
  if (!gateway.is_ready()) return respond(refuse(503, "not ready"));
  request.path == kList ? list(gateway, request, respond) : change(gateway, request, respond);
}

}  // namespace tidegate::daemon
