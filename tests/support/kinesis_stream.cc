#include "tests/support/kinesis_stream.h"

#include <openssl/evp.h>
#include <simdjson.h>

#include <stdexcept>

namespace tidegate::testing {
namespace {

constexpr std::size_t kRequestsKept = 10;

}  // namespace

std::string decode_base64(std::string_view base64) {
  std::string bytes(base64.size(), '\0');
  const int size =
      EVP_DecodeBlock(reinterpret_cast<unsigned char*>(bytes.data()),
                      reinterpret_cast<const unsigned char*>(base64.data()), static_cast<int>(base64.size()));
  if (size < 0) throw std::runtime_error("no base64: " + std::string(base64));
  const std::size_t padding = base64.ends_with("==") ? 2 : base64.ends_with("=") ? 1 : 0;
  bytes.resize(static_cast<std::size_t>(size) - padding);
  return bytes;
}

HttpScriptedReply KinesisStream::answer(const HttpRequestSeen& request) {
  const std::lock_guard lock(mutex_);
  if (first_.size() < kRequestsKept) first_.push_back(request);
  if (random_() % 10 == 0) {
    ++refused_;
    return http_reply(400, R"({"__type":"ProvisionedThroughputExceededException","message":"slow down"})");
  }
  return http_reply(200, take_some(request));
}

std::string KinesisStream::take_some(const HttpRequestSeen& request) {
  simdjson::dom::parser parser;
  const simdjson::dom::array records = parser.parse(request.body).at_pointer("/Records").get_array();
  if (records.size() > 500) throw std::runtime_error("too many records");
  const std::uint64_t one_in = random_() % 3 == 0 ? 50 : 0;
  std::string answers;
  std::uint64_t failed = 0;
  for (const simdjson::dom::element record : records) {
    answers += answers.empty() ? "" : ",";
    if (one_in != 0 && random_() % one_in == 0) {
      ++refused_;
      ++failed;
      answers += R"({"ErrorCode":"ProvisionedThroughputExceededException","ErrorMessage":"Rate exceeded for shard"})";
      continue;
    }
    taken_[std::string(record["PartitionKey"].get_string().value())].push_back(
        decode_base64(record["Data"].get_string().value()));
    answers += R"({"SequenceNumber":"4964","ShardId":"shardId-000000000000"})";
  }
  return "{\"FailedRecordCount\":" + std::to_string(failed) + ",\"Records\":[" + answers + "]}";
}

std::map<std::string, std::vector<std::string>> KinesisStream::taken() const {
  const std::lock_guard lock(mutex_);
  return taken_;
}
std::vector<HttpRequestSeen> KinesisStream::first_requests() const {
  const std::lock_guard lock(mutex_);
  return first_;
}
std::uint64_t KinesisStream::refused() const {
  const std::lock_guard lock(mutex_);
  return refused_;
}

}  // namespace tidegate::testing
