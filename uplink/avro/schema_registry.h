#pragma once

#include <curl/curl.h>

#include <atomic>
#include <cstdint>
#include <string>
#include <vector>

#include "core/error.h"
#include "uplink/avro/registry_answer.h"
#include "uplink/avro/registry_options.h"
#include "uplink/curl_library.h"
#include "uplink/http_options.h"

namespace tidegate::uplink {

/// Asks a schema registry with Confluent's interface for ids of schemas, as Confluent's own, Karapace, Redpanda and
/// Apicurio (ccompat) have it. The library outlives it.
class SchemaRegistry {
 public:
  SchemaRegistry(const CurlLibrary& curl, SchemaRegistryOptions options);
  ~SchemaRegistry();
  SchemaRegistry(const SchemaRegistry&) = delete;
  SchemaRegistry& operator=(const SchemaRegistry&) = delete;

  /// Blocks for the time of one question to each URL at most. Error `retry`: why there is no id, and what helps.
  Result<std::int32_t> id_of(const std::string& subject, std::string_view schema);
  /// What is asked has no answer any more, nor what comes later. Any thread.
  void end();

 private:
  Result<std::vector<std::string>> headers();
  HttpAnswer ask(const std::string& url, const std::vector<std::string>& headers, const std::string& body);
  std::string redact(std::string text) const;

  const CurlLibrary& curl_;
  SchemaRegistryOptions options_;  // secrets as last read
  HttpUplinkOptions request_;
  std::string login_;  // as it was sent
  CURLM* multi_;
  std::atomic<bool> is_ended_{false};
};

}  // namespace tidegate::uplink
