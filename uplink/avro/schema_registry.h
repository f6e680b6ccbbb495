#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "core/error.h"
#include "uplink/avro/registry_answer.h"
#include "uplink/avro/registry_options.h"
#include "uplink/curl_library.h"
#include "uplink/http_fetch.h"
#include "uplink/http_options.h"
#include "uplink/secret_values.h"

namespace tidegate::uplink {

/// Asks a schema registry with Confluent's interface for ids of schemas, as Confluent's own, Karapace, Redpanda and
/// Apicurio (ccompat) have it. The library outlives it. One thread, but
/// for end().
class SchemaRegistry {
 public:
  SchemaRegistry(const CurlLibrary& curl, SchemaRegistryOptions options);

  /// Blocks for the time of one question to each URL at most. Error `retry`: why there is no id, and what helps.
  Result<std::int32_t> id_of(const std::string& subject, std::string_view schema);
  /// What is asked has no answer any more, nor what comes later. Any thread.
  void end() { fetch_.cancel(); }
  /// What the last question was answered with, zero where nothing of that.
  Duration retry_after() const { return retry_after_; }

 private:
  Result<std::vector<std::string>> headers();

  SchemaRegistryOptions options_;  // secrets as last read
  HttpUplinkOptions request_;
  SentSecrets sent_;
  Duration retry_after_{};
  HttpFetch fetch_;
};

}  // namespace tidegate::uplink
