#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "core/error.h"
#include "core/time.h"
#include "uplink/http_options.h"
#include "uplink/secret_values.h"

namespace tidegate::uplink {

/// Signs requests to Kinesis, with the credentials as their files have them now. One thread.
class AwsSigner {
 public:
  explicit AwsSigner(const HttpUplinkOptions& options) : aws_(options.aws) {}

  /// "Name: value" of the headers that the request needs. Blocks on the disk for a moment. Error `retry` when a
  /// credential cannot be read.
  Result<std::vector<std::string>> lines(std::string_view url, std::string_view body, WallTime now);
  std::string redact(std::string text) const;

 private:
  AwsOptions aws_;  // credentials as last read
  SentSecrets sent_;
};

}  // namespace tidegate::uplink
