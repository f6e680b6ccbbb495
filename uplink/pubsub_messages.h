#pragma once

#include <cstdint>
#include <map>
#include <string>

#include "core/error.h"
#include "uplink/http_answer.h"
#include "uplink/http_options.h"
#include "uplink/keyed_records.h"

namespace tidegate::uplink {

/// Writes batches as requests `publish` of Google Cloud Pub/Sub, a message a record. One thread.
class PubsubMessages {
 public:
  static constexpr std::uint32_t kMessagesMost = 1000;  // of one request

  PubsubMessages(const HttpUplinkOptions& options, std::string gateway);

  /// Empty for a batch without entries, which the target would refuse. Error `give_up_item` when the payload is none.
  Result<std::string> body(const OutgoingBatch& batch);
  /// Only 200 with an id for each message acknowledges.
  HttpVerdict judge(const OutgoingBatch& batch, const HttpAnswer& answer);
  /// It failed otherwise.
  void forget(const OutgoingBatch& batch) { sent_.erase(batch.id); }

 private:
  const std::string gateway_;
  const bool has_keys_;
  KeyedRecords records_;
  std::map<std::uint64_t, std::size_t> sent_;  // by the batch's id: how many messages are on their way
};

}  // namespace tidegate::uplink
