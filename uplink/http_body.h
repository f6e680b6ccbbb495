#pragma once

#include <cstdint>
#include <string>

#include "core/error.h"
#include "uplink/deflate_library.h"
#include "uplink/http_options.h"
#include "uplink/influx_lines.h"
#include "uplink/kinesis_records.h"
#include "uplink/ndjson_lines.h"
#include "uplink/pubsub_messages.h"

namespace tidegate::uplink {

/// Makes the bodies of an HTTP uplink's requests from batches: the format, then the compression. Says what answers mean
/// for a batch, where the format has words of its own. One thread.
class HttpBody {
 public:
  HttpBody(const HttpUplinkOptions& options, const std::string& gateway);

  /// Loads what the compression needs. Error `not_found` names the package.
  Result<void> prepare();
  /// Error `give_up_item` when the payload is no batch.
  Result<std::string> make(const OutgoingBatch& batch);
  /// Whether an empty body is not worth a request.
  bool needs_entries() const { return format_ != BatchFormat::json && format_ != BatchFormat::ndjson; }
  /// What the answer to make() says of the batch.
  HttpVerdict judge(const OutgoingBatch& batch, const HttpAnswer& answer);

  /// The batch failed without an answer, or before it was sent.
  void forget(const OutgoingBatch& batch);

  /// See InfluxLines.
  void say_left_out(const std::string& uplink, BootTime now) { influx_.say_left_out(uplink, now); }

 private:
  Result<std::string> format(const OutgoingBatch& batch);

  const BatchFormat format_;
  const Compression compression_;
  const NdjsonLines ndjson_;
  InfluxLines influx_;
  KinesisRecords kinesis_;
  PubsubMessages pubsub_;
  const DeflateLibrary* deflate_ = nullptr;
};

}  // namespace tidegate::uplink
