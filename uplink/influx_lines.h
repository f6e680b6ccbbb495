#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "core/error.h"
#include "core/log.h"
#include "uplink/forwarder.h"

namespace tidegate::uplink {

/// Writes the entries of batches as InfluxDB's line protocol (docs/batch-format.md), which VictoriaMetrics and QuestDB
/// take too. What the protocol cannot say is left out, and counted: values that are integers of more than 63 bits, and
/// whole records with a time of more than 63 bits of nanoseconds. One thread.
class InfluxLines {
 public:
  InfluxLines(const std::string& gateway, bool integers_as_floats);
  ~InfluxLines();

  /// Error `give_up_item` when the payload is no batch; `into` may then have some lines.
  Result<void> append(std::string& into, const OutgoingBatch& batch);

  struct LeftOut {
    std::uint64_t values = 0;
    std::uint64_t records = 0;
    bool operator==(const LeftOut&) const = default;
  };
  const LeftOut& left_out() const { return left_out_; }
  /// Says so in the log, not too often, when there is more than it said before.
  void say_left_out(const std::string& uplink, BootTime now);

 private:
  struct Parser;

  std::string gateway_tag_;  // ,gateway=...
  const bool integers_as_floats_;
  LeftOut left_out_;
  LeftOut said_;
  ComplaintFilter complaints_;
  std::unique_ptr<Parser> parser_;
};

}  // namespace tidegate::uplink
