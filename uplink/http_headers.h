#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "core/error.h"
#include "uplink/forwarder.h"
#include "uplink/http_options.h"
#include "uplink/secret_values.h"

namespace tidegate::uplink {

/// The headers of an HTTP uplink's requests: those that name the batch, and those of the configuration, with secrets as
/// their files have them now. One thread.
class HttpHeaders {
 public:
  HttpHeaders(const HttpUplinkOptions& options, std::string gateway);

  /// "Name: value", for one request. Blocks on the disk for a moment. Error `retry` when a secret cannot be read.
  Result<std::vector<std::string>> lines(const OutgoingBatch& batch);
  /// `text` without the secrets that were sent; a target may well repeat them in what it answers.
  std::string redact(std::string text) const;

 private:
  void note_sent(const HttpHeader& header);

  std::vector<HttpHeader> headers_;  // values as last read
  SentSecrets sent_;
  std::vector<std::string> common_;
  std::string key_gateway_;
  std::string key_uplink_;
  bool has_key_ = true;
};

/// The name of the batch, the same each time it is sent, over restarts too.
std::string idempotency_key(std::string_view gateway, std::string_view uplink, const OutgoingBatch& batch);

/// For a part of a path or a query, and where only ASCII may stand (RFC 3986).
std::string percent_encoded(std::string_view text);

}  // namespace tidegate::uplink
