#pragma once

#include <cstdint>
#include <map>
#include <mutex>
#include <random>
#include <string>
#include <string_view>
#include <vector>

#include "tests/support/http_server.h"

namespace tidegate::testing {

/// Throws std::runtime_error where it is none.
std::string decode_base64(std::string_view base64);

/// Answers PutRecords as a stream of Kinesis does that is asked too much: it takes some records of a request and not
/// others, or none at all. Keeps what it took, by partition key in the order it came. Use as the answer of a
/// ScriptedHttpServer; any thread.
class KinesisStream {
 public:
  explicit KinesisStream(std::uint64_t seed) : random_(seed) {}

  HttpScriptedReply answer(const HttpRequestSeen& request);

  /// The data of the records, decoded.
  std::map<std::string, std::vector<std::string>> taken() const;
  std::vector<HttpRequestSeen> first_requests() const;  // some of them
  std::uint64_t refused() const;

 private:
  std::string take_some(const HttpRequestSeen& request);

  mutable std::mutex mutex_;
  std::mt19937_64 random_;
  std::map<std::string, std::vector<std::string>> taken_;
  std::vector<HttpRequestSeen> first_;
  std::uint64_t refused_ = 0;
};

}  // namespace tidegate::testing
