#pragma once

#include <string>
#include <string_view>

#include "core/record.h"
#include "core/tag.h"
#include "uplink/batch_encoder.h"

namespace tidegate::daemon {

/// Shows records as `tail`, `log cat` and the API do: one JSON object each, the entry of a batch payload with the epoch
/// in front. One thread.
class RecordJson {
 public:
  explicit RecordJson(const TagRegistry& tags) : tags_(tags), encoder_("", tags) {}

  /// Appends record `index` of the batch.
  void append(std::string& out, const RecordBatch& batch, std::size_t index);
  /// Whether record `index` is of a tag that the glob matches. An empty glob matches everything; documents are matched
  /// by their member "tag".
  bool matches(const RecordBatch& batch, std::size_t index, std::string_view tag_glob) const;

 private:
  const TagRegistry& tags_;
  uplink::BatchEncoder encoder_;
  std::string entry_;
};

}  // namespace tidegate::daemon
