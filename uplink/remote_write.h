#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "core/error.h"
#include "uplink/forwarder.h"
#include "uplink/http_answer.h"
#include "uplink/http_options.h"

namespace tidegate::uplink {

/// Writes batches of readings as requests of Prometheus remote write 1.0. Numbers and booleans that are not bad become
/// samples, the rest is left out and counted. Prometheus refuses a whole request with 400 for one sample that is older
/// than the newest of its series, has another value at the same time, or is too old for it, and will never take it:
/// such a batch goes in halves, one behind the other, until that sample is alone, which is left out and counted too. So
/// a repeat or a late reading holds nothing up, and costs nothing else. One thread.
class RemoteWrite {
 public:
  RemoteWrite(const HttpUplinkOptions& options, std::string gateway);
  ~RemoteWrite();

  /// The next request of the batch; empty when it has no sample. Error `give_up_item` when the payload is no batch.
  Result<std::string> body(const OutgoingBatch& batch);
  /// What the answer to that says of the batch; where it has `again`, body() is to be sent next.
  HttpVerdict judge(const OutgoingBatch& batch, const HttpAnswer& answer);
  /// It failed otherwise.
  void forget(const OutgoingBatch& batch) { plans_.erase(batch.id); }

  /// Readings that are no samples, and samples that were refused for their time.
  std::uint64_t left_out() const { return no_samples_ + refused_; }

 private:
  struct Parser;
  struct Sample {
    std::string tag;
    std::int64_t time = 0;  // milliseconds
    double value = 0;
  };
  /// What is left to send of a batch: its samples by time, in stretches of which each is a request.
  struct Plan {
    std::vector<Sample> samples;
    std::vector<std::pair<std::size_t, std::size_t>> stretches;  // begin and end, the next one last
  };

  Result<Plan> plan_of(const OutgoingBatch& batch);
  std::string encode(const Plan& plan) const;

  const std::string gateway_;
  const std::string prefix_;
  std::uint64_t no_samples_ = 0;
  std::uint64_t refused_ = 0;
  std::map<std::uint64_t, Plan> plans_;  // by the batch's id
  std::unique_ptr<Parser> parser_;
};

/// Whether that is what Prometheus and those that speak like it say of a sample's time.
bool is_refused_for_its_time(const HttpAnswer& answer);

}  // namespace tidegate::uplink
