#include "daemon/admin/reload_api.h"

#include <string>
#include <utility>

#include "daemon/admin/answer_in_time.h"
#include "daemon/admin/json_request.h"
#include "daemon/gateway.h"
#include "daemon/json_writer.h"

namespace tidegate::daemon {
namespace {

constexpr std::string_view kPath = "/api/v1/reload";
constexpr Duration kAnswerMost = std::chrono::seconds(60);

const char* to_string(ReloadAnswer::Result result) {
  switch (result) {
    case ReloadAnswer::Result::read:
      return "preview";
    case ReloadAnswer::Result::done:
      return "done";
    case ReloadAnswer::Result::wrong:
      return "wrong";
    case ReloadAnswer::Result::failed:
      return "failed";
  }
  return "";
}

unsigned status_of(ReloadAnswer::Result result) {
  if (result == ReloadAnswer::Result::wrong) return 422;
  return result == ReloadAnswer::Result::failed ? 500 : 200;
}

std::string error_of(const ReloadAnswer& answer) {
  if (answer.result == ReloadAnswer::Result::failed) return answer.failure;
  if (answer.result != ReloadAnswer::Result::wrong) return "";
  return answer.config_file + " is wrong: nothing was changed" + (answer.failure.empty() ? "" : "; " + answer.failure);
}

void put_problems(JsonWriter& json, const std::vector<Problem>& problems) {
  json.key("problems").begin_array();
  for (const Problem& problem : problems) {
    json.begin_object().member("file", problem.file).member("line", problem.line).member("column", problem.column);
    json.member("kind", problem.kind == ProblemKind::error ? "error" : "warning").member("key", problem.key);
    json.member("message", problem.message).member("text", format_problem(problem)).end_object();
  }
  json.end_array();
}

void put_change(JsonWriter& json, const PlannedChange& change) {
  json.begin_object().member("section", change.section);
  if (!change.name.empty()) json.member("name", change.name);
  if (!change.file.empty()) json.member("file", change.file).member("line", change.line);
  json.member("change", to_string(change.change)).member("effect", to_string(change.effect));
  json.key("keys").begin_array();
  for (const KeyChange& key : change.keys) {
    json.begin_object().member("key", key.key).member("before", key.before).member("after", key.after).end_object();
  }
  json.end_array();
  if (!change.note.empty()) json.member("note", change.note);
  json.end_object();
}

AdminResponse response_of(const ReloadAnswer& answer) {
  AdminResponse response;
  response.status = status_of(answer.result);
  JsonWriter json(response.body);
  json.begin_object().member("config", answer.config_file).member("result", to_string(answer.result));
  if (const std::string error = error_of(answer); !error.empty()) json.member("error", error);
  put_problems(json, answer.problems);
  json.key("changes").begin_array();
  for (const PlannedChange& change : answer.plan.changes) put_change(json, change);
  json.end_array().member("untouched", answer.plan.untouched);
  json.key("restart_needed_for").begin_array();
  for (const std::string& waiting : answer.plan.waiting()) json.value(waiting);
  json.end_array().end_object();
  return response;
}

}  // namespace

bool is_reload_path(std::string_view path) { return path == kPath; }

void answer_reload(Gateway& gateway, const AdminRequest& request, const AdminRespond& respond) {
  if (!gateway.is_ready()) return respond(refuse(503, "not ready"));
  if (request.method == "GET" || request.method == "HEAD") return respond(response_of(gateway.reloader().preview()));
  if (request.method != "POST") return respond(refuse(405, "GET says what a reload would do, POST does it"));
  if (auto refused = refuse_unless_json(request)) return respond(std::move(*refused));
  const auto in_time =
      answer_in_time(gateway.loop(), kAnswerMost, respond,
                     "the reload is still under way, and goes on; the event \"reload\" or \"reload-failed\" says what "
                     "came of it");
  gateway.reloader().reload([in_time](const ReloadAnswer& answer) { in_time(response_of(answer)); });
}

}  // namespace tidegate::daemon
