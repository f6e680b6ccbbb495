#pragma once

#include <cstdint>
#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "tests/support/http_server.h"

namespace tidegate::testing {

/// A schema registry as Confluent documents its interface: takes schemas, looks them up, and gives them back by id.
/// A subject with another schema takes none (409). Any thread.
class FakeSchemaRegistry {
 public:
  FakeSchemaRegistry() : server_([this](const HttpRequestSeen& request) { return answer(request); }) {}

  std::string url() const { return server_.url(""); }
  std::uint16_t port() const { return server_.port(); }
  void start() { server_.start(); }
  void stop() { server_.stop(); }

  /// From now on everything is answered so; nothing: as a registry does.
  void answer_with(std::optional<HttpScriptedReply> reply);
  std::vector<HttpRequestSeen> requests() const;

  /// Returns the schema's id, a new one where it is new.
  std::int32_t add(const std::string& subject, const std::string& schema);
  /// What GET /schemas/ids/ID has; throws std::out_of_range.
  std::string schema(std::int32_t id) const;
  std::vector<std::string> subjects() const;

 private:
  HttpScriptedReply answer(const HttpRequestSeen& request);
  HttpScriptedReply answer_post(const HttpRequestSeen& request);
  std::int32_t add_locked(const std::string& subject, const std::string& schema);

  mutable std::mutex mutex_;
  std::optional<HttpScriptedReply> reply_;
  std::vector<HttpRequestSeen> requests_;
  std::map<std::string, std::int32_t> ids_;        // by schema
  std::map<std::string, std::string> by_subject_;  // the schema
  ScriptedHttpServer server_;
};

}  // namespace tidegate::testing
