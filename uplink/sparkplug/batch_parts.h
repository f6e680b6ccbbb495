#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "core/error.h"
#include "core/value.h"
#include "mqtt/sparkplug_payload.h"
#include "uplink/forwarder.h"

namespace tidegate::uplink {

/// One record as a metric of a Sparkplug device, or of the node itself.
struct SparkplugEntry {
  std::string device;  // empty: the node
  std::string name;
  std::uint64_t timestamp = 0;  // milliseconds since 1970 UTC
  bool is_historical = false;
  Value value;
  std::vector<mqtt::SparkplugProperty> properties{};
};

/// A batch, taken apart. The first entry is the batch's own word of itself, `Tidegate/Batch`.
using SparkplugEntries = std::vector<SparkplugEntry>;

inline constexpr const char* kBatchMetric = "Tidegate/Batch";
inline constexpr const char* kRebirthMetric = "Node Control/Rebirth";

/// The path of the tag that a metric of the device stands for; empty where it can be none.
std::string tag_of_metric(const std::string& device, const std::string& metric);

/// Takes the JSON of batches apart (docs/sparkplug.md says what becomes of it). One thread.
class SparkplugBatchParser {
 public:
  SparkplugBatchParser();
  ~SparkplugBatchParser();

  /// Error `give_up_item` when the payload is no batch of its stream.
  Result<SparkplugEntries> take_apart(const OutgoingBatch& batch);

 private:
  struct Parser;

  std::unique_ptr<Parser> parser_;
};

}  // namespace tidegate::uplink
