#pragma once

#include <string>
#include <string_view>

#include "core/error.h"
#include "uplink/forwarder.h"

namespace tidegate::uplink {

/// Writes the entries of batches as NDJSON, a line an entry: {"gateway","stream","epoch","seq", ... as in the batch}.
class NdjsonLines {
 public:
  /// What every line begins with.
  static constexpr std::string_view kLineBeginning = "{\"gateway\":";

  explicit NdjsonLines(const std::string& gateway);

  /// Returns when the batch was sent. Error `give_up_item` when its payload is none; `into` may then have some lines.
  Result<WallTime> append(std::string& into, const OutgoingBatch& batch) const;

 private:
  std::string gateway_member_;  // {"gateway":"..."
};

}  // namespace tidegate::uplink
