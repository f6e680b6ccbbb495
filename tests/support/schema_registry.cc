#include "tests/support/schema_registry.h"

#include <simdjson.h>

#include <stdexcept>

#include "core/text.h"

namespace tidegate::testing {
namespace {

constexpr std::int32_t kFirstId = 100'001;
constexpr const char* kType = "Content-Type: application/vnd.schemaregistry.v1+json\r\n";

HttpScriptedReply error(int status, int code, const std::string& message) {
  return http_reply(status, R"({"error_code":)" + std::to_string(code) + R"(,"message":")" + message + "\"}", kType);
}

std::string subject_of(const std::string& target) {
  constexpr std::string_view kBefore = "/subjects/";
  const std::string rest = target.substr(kBefore.size());
  return rest.substr(0, rest.find('/'));
}

}  // namespace

void FakeSchemaRegistry::answer_with(std::optional<HttpScriptedReply> reply) {
  const std::lock_guard lock(mutex_);
  reply_ = std::move(reply);
}

std::vector<HttpRequestSeen> FakeSchemaRegistry::requests() const {
  const std::lock_guard lock(mutex_);
  return requests_;
}

std::int32_t FakeSchemaRegistry::add(const std::string& subject, const std::string& schema) {
  const std::lock_guard lock(mutex_);
  return add_locked(subject, schema);
}

std::int32_t FakeSchemaRegistry::add_locked(const std::string& subject, const std::string& schema) {
  by_subject_[subject] = schema;
  return ids_.emplace(schema, kFirstId + static_cast<std::int32_t>(ids_.size())).first->second;
}

std::string FakeSchemaRegistry::schema(std::int32_t id) const {
  const std::lock_guard lock(mutex_);
  for (const auto& [schema, own] : ids_) {
    if (own == id) return schema;
  }
  throw std::out_of_range("no schema has the id " + std::to_string(id));
}

std::vector<std::string> FakeSchemaRegistry::subjects() const {
  const std::lock_guard lock(mutex_);
  std::vector<std::string> subjects;
  for (const auto& [subject, schema] : by_subject_) subjects.push_back(subject);
  return subjects;
}

HttpScriptedReply FakeSchemaRegistry::answer(const HttpRequestSeen& request) {
  const std::lock_guard lock(mutex_);
  requests_.push_back(request);
  if (reply_) return *reply_;
  if (request.header("content-type") != "application/vnd.schemaregistry.v1+json") {
    return error(415, 415, "HTTP 415 Unsupported Media Type");
  }
  const bool is_post = request.method == "POST" && request.target.starts_with("/subjects/");
  return is_post ? answer_post(request) : error(404, 404, "HTTP 404 Not Found");
}

HttpScriptedReply FakeSchemaRegistry::answer_post(const HttpRequestSeen& request) {
  simdjson::dom::parser parser;
  std::string_view text;
  if (parser.parse(request.body)["schema"].get_string().get(text) != simdjson::SUCCESS) {
    return error(422, 42201, "Either the input schema or one its references is invalid");
  }
  const std::string schema(text);
  const std::string subject = subject_of(request.target);
  const auto known = by_subject_.find(subject);
  if (request.target.ends_with("/versions")) {
    if (known != by_subject_.end() && known->second != schema) {
      return error(409, 409, "Schema being registered is incompatible with an earlier schema");
    }
    return http_reply(200, R"({"id":)" + std::to_string(add_locked(subject, schema)) + "}", kType);
  }
  if (known == by_subject_.end()) return error(404, 40401, "Subject '" + subject + "' not found.");
  if (known->second != schema) return error(404, 40403, "Schema not found");
  std::string body =
      R"({"subject":")" + subject + R"(","version":1,"id":)" + std::to_string(ids_.at(schema)) + R"(,"schema":)";
  append_json_string(body, schema);
  return http_reply(200, body + "}", kType);
}

}  // namespace tidegate::testing
