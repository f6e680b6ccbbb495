#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "core/error.h"
#include "uplink/forwarder.h"

namespace tidegate::uplink {

/// Writes the entries of batches as InfluxDB's line protocol (docs/batch-format.md), which VictoriaMetrics and QuestDB
/// take too. What the protocol cannot say is left out, and counted: integers that need more than 63 bits. One thread.
class InfluxLines {
 public:
  InfluxLines(const std::string& gateway, bool integers_as_floats);
  ~InfluxLines();

  /// Error `give_up_item` when the payload is no batch; `into` may then have some lines.
  Result<void> append(std::string& into, const OutgoingBatch& batch);
  std::uint64_t left_out() const { return left_out_; }

 private:
  struct Parser;

  std::string gateway_tag_;  // ,gateway=...
  const bool integers_as_floats_;
  std::uint64_t left_out_ = 0;
  std::unique_ptr<Parser> parser_;
};

}  // namespace tidegate::uplink
