#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <tuple>
#include <vector>

#include "core/error.h"
#include "uplink/http_answer.h"
#include "uplink/http_options.h"
#include "uplink/keyed_records.h"

namespace tidegate::uplink {

/// Writes batches as requests PutRecords of Amazon Kinesis Data Streams, a record of Kinesis each, and reads what comes
/// back: an answer 200 may say of single records that they were not taken. Such a batch has failed, and remembers what
/// was taken, so that the next time it is sent it is only what was not; and all behind that of the same key, which
/// keeps the order of a key. One thread.
class KinesisRecords {
 public:
  static constexpr std::uint32_t kRecordsMost = 500;  // of one request

  KinesisRecords(const HttpUplinkOptions& options, std::string gateway);

  /// Error `give_up_item` when the payload is no batch.
  Result<std::string> body(const OutgoingBatch& batch);
  HttpVerdict judge(const OutgoingBatch& batch, const HttpAnswer& answer);
  /// It failed otherwise.
  void forget(const OutgoingBatch& batch) { sent_.erase(batch.id); }

 private:
  struct Sent {
    std::vector<std::size_t> indices;  // of the batch's records
    std::vector<std::string> keys;
  };
  using BatchName = std::tuple<Stream, std::uint32_t, std::uint64_t, std::uint64_t, std::uint32_t>;

  static BatchName name_of(const OutgoingBatch& batch);
  HttpVerdict judge_taken(const OutgoingBatch& batch, const HttpAnswer& answer, const Sent& sent);

  const std::string gateway_;
  const std::string stream_;
  KeyedRecords records_;
  std::map<std::uint64_t, Sent> sent_;                     // by the batch's id: what is on its way
  std::map<BatchName, std::vector<std::size_t>> missing_;  // of batches of which a part was taken
};

/// The body of Kinesis' answer to PutRecords, by record why it was not taken; empty where it was. Error `invalid` when
/// it is none.
Result<std::vector<std::string>> parse_put_records_answer(const std::string& body);

}  // namespace tidegate::uplink
