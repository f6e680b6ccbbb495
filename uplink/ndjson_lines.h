#pragma once

#include <string>
#include <string_view>

#include "core/error.h"
#include "uplink/record_lines.h"

namespace tidegate::uplink {

/// Writes the entries of batches as NDJSON, a line an entry: {"gateway","stream","epoch","seq", ... as in the batch}.
class NdjsonLines final : public RecordLines {
 public:
  explicit NdjsonLines(const std::string& gateway);

  /// Returns when the batch was sent. Error `give_up_item` when its payload is none; `into` may then have some lines.
  Result<WallTime> append(std::string& into, const OutgoingBatch& batch) const override;
  LineForm form(Stream stream) const override;

 private:
  std::string gateway_member_;  // {"gateway":"..."
};

}  // namespace tidegate::uplink
