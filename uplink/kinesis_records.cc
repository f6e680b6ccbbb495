#include "uplink/kinesis_records.h"

#include <simdjson.h>

#include <algorithm>
#include <array>
#include <set>
#include <string_view>
#include <utility>

#include "core/text.h"
#include "mqtt/sha256.h"
#include "uplink/byte_text.h"
#include "uplink/json_text.h"
#include "uplink/placeholders.h"

namespace tidegate::uplink {
namespace {

namespace dom = simdjson::dom;

constexpr std::size_t kKeyBytesMost = 256;
constexpr std::size_t kRemembered = 128;

template <std::size_t kSize>
bool is_one_of(std::string_view word, const std::array<std::string_view, kSize>& words) {
  return std::find(words.begin(), words.end(), word) != words.end();
}

// AWS says with 400 also that it is asked too much, or that we may not: the type of the error tells.
std::string error_type(const HttpAnswer& answer) {
  const std::string type = find_text_member(answer.body, "__type").value_or("");
  return type.substr(type.rfind('#') + 1);
}

bool is_for_a_time(std::string_view type) {
  constexpr std::array<std::string_view, 7> kTypes{"ProvisionedThroughputExceededException",
                                                   "LimitExceededException",
                                                   "ThrottlingException",
                                                   "Throttling",
                                                   "KMSThrottlingException",
                                                   "InternalFailure",
                                                   "ServiceUnavailable"};
  return is_one_of(type, kTypes);
}

bool is_of_what_was_sent(std::string_view type) {
  constexpr std::array<std::string_view, 4> kTypes{"InvalidArgumentException", "ValidationException",
                                                   "SerializationException", "ValidationError"};
  return is_one_of(type, kTypes);
}

bool is_of_the_signature(std::string_view type) {
  return type.find("Signature") != std::string_view::npos || type == "RequestExpired" || type == "RequestTimeTooSkewed";
}

// Taken is only what has a number in the stream and no error.
std::string why_not_taken(const dom::element& record) {
  dom::element code;
  std::string_view message;
  std::string_view number;
  if (record["ErrorCode"].get(code) == simdjson::SUCCESS && !code.is_null()) {
    if (record["ErrorMessage"].get_string().get(message) != simdjson::SUCCESS) message = {};
    const std::string name(code.is_string() ? code.get_string().value_unsafe() : std::string_view());
    return (name.empty() ? "an error without a code" : name) + (message.empty() ? "" : ": ") + std::string(message);
  }
  const bool has_number = record["SequenceNumber"].get_string().get(number) == simdjson::SUCCESS && !number.empty();
  return has_number ? "" : "no SequenceNumber";
}

HttpVerdict judge_error(const HttpAnswer& answer, std::uint32_t records) {
  HttpVerdict verdict = judge(answer, records);
  verdict.acknowledged = false;  // only an answer 200 that names each record is one
  if (!answer.problem.empty()) return verdict;
  if (answer.status == 401 || answer.status == 403) verdict.trouble += "; check \"aws\", and the clock of this machine";
  if (answer.status / 100 == 2) verdict.trouble = "answered " + std::to_string(answer.status) + " in place of 200";
  if (answer.status != 400) return verdict;
  const std::string type = error_type(answer);
  if (is_of_what_was_sent(type)) return verdict;
  verdict.failure.refusal.clear();
  verdict.may_pass = is_for_a_time(type);
  if (verdict.may_pass) verdict.trouble = "the target answers 400: " + clip(answer.body, 300);
  if (is_of_the_signature(type)) verdict.trouble += "; check \"aws\", and the clock of this machine";
  return verdict;
}

}  // namespace

KinesisRecords::KinesisRecords(const HttpUplinkOptions& options, std::string gateway)
    : gateway_(std::move(gateway)), stream_(options.aws.stream), records_(gateway_, options.key) {}

Result<std::string> KinesisRecords::body(const OutgoingBatch& batch) {
  if (batch.replay) {
    std::erase_if(missing_, [&](const auto& one) { return std::get<Stream>(one.first) == batch.stream; });
  }
  auto stream = fill_placeholders(stream_, {{"gateway", gateway_}, {"stream", to_string(batch.stream)}});
  if (!stream) return stream;
  const auto partly = missing_.find(name_of(batch));
  Sent sent;
  std::string text = "{\"StreamName\":";
  append_json_string(text, *stream);
  text += ",\"Records\":[";
  std::size_t index = 0;
  const auto made = records_.for_each(batch, [&](const std::string& key, std::string_view record) {
    const std::size_t at = index++;
    if (partly != missing_.end() && !std::binary_search(partly->second.begin(), partly->second.end(), at)) return;
    text += sent.indices.empty() ? "{\"Data\":\"" : ",{\"Data\":\"";
    text += base64(record) + "\",\"PartitionKey\":";
    append_json_string(text, key.size() > kKeyBytesMost ? hexadecimal(mqtt::sha256(key)) : key);
    text += '}';
    sent.indices.push_back(at);
    sent.keys.push_back(key);
  });
  if (!made) return tl::unexpected(made.error());
  if (sent.indices.empty()) return std::string();
  sent_[batch.id] = std::move(sent);
  return text + "]}";
}

HttpVerdict KinesisRecords::judge(const OutgoingBatch& batch, const HttpAnswer& answer) {
  const auto on_its_way = sent_.extract(batch.id);
  if (!answer.problem.empty() || answer.status != 200 || on_its_way.empty()) return judge_error(answer, batch.count);
  return judge_taken(batch, answer, on_its_way.mapped());
}

HttpVerdict KinesisRecords::judge_taken(const OutgoingBatch& batch, const HttpAnswer& answer, const Sent& sent) {
  HttpVerdict verdict;
  const auto errors = parse_put_records_answer(answer.body);
  if (!errors || errors->size() != sent.indices.size()) {
    verdict.trouble = "answered 200, but not what Kinesis says to PutRecords: " + clip(answer.body, 300);
    return verdict;
  }
  std::vector<std::size_t> missing;
  std::set<std::string_view> keys;
  std::string error;
  for (std::size_t i = 0; i < errors->size(); ++i) {
    if (!(*errors)[i].empty()) {
      keys.insert(sent.keys[i]);
      if (error.empty()) error = (*errors)[i];
    }
    if (keys.count(sent.keys[i]) != 0) missing.push_back(sent.indices[i]);
  }
  verdict.acknowledged = missing.empty();
  if (verdict.acknowledged) {
    missing_.erase(name_of(batch));
    return verdict;
  }
  verdict.may_pass = true;
  verdict.failure.progressed = missing.size() < sent.indices.size();
  verdict.trouble = "the target did not take " + std::to_string(missing.size()) + " of " +
                    std::to_string(errors->size()) + " records: " + clip(error, 300);
  if (missing_.size() >= kRemembered) missing_.clear();  // costs repeats, no more
  missing_[name_of(batch)] = std::move(missing);
  return verdict;
}

KinesisRecords::BatchName KinesisRecords::name_of(const OutgoingBatch& batch) {
  return {batch.stream, batch.epoch, batch.from, batch.to, batch.count};
}

Result<std::vector<std::string>> parse_put_records_answer(const std::string& body) {
  dom::parser parser;
  dom::element parsed;
  dom::array records;
  auto error = parser.parse(body).get(parsed);
  if (!error) error = parsed["Records"].get_array().get(records);
  if (error) return fail(ErrorCode::invalid, simdjson::error_message(error));
  std::vector<std::string> errors;
  for (const dom::element record : records) errors.push_back(why_not_taken(record));
  std::uint64_t failed = 0;
  const bool has_none = std::all_of(errors.begin(), errors.end(), [](const auto& one) { return one.empty(); });
  if (has_none && parsed["FailedRecordCount"].get_uint64().get(failed) == simdjson::SUCCESS && failed > 0) {
    return fail(ErrorCode::invalid, "counts " + std::to_string(failed) + " failed records and names none");
  }
  return errors;
}

}  // namespace tidegate::uplink
