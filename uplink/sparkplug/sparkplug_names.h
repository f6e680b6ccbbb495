#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "core/error.h"
#include "core/time.h"
#include "mqtt/client.h"
#include "uplink/options.h"

namespace tidegate::uplink {

/// The topics of an edge node (Sparkplug 3.0, section 4).
class SparkplugNames {
 public:
  /// With {gateway} filled in. See check_sparkplug_name().
  SparkplugNames(const SparkplugOptions& options, const std::string& gateway);

  /// Of "NBIRTH", "DDATA" and so on; without a device the node's.
  std::string topic(std::string_view kind, std::string_view device = {}) const;
  std::string host_topic() const { return "spBv1.0/STATE/" + host_; }
  const std::string& host() const { return host_; }
  const std::string& node() const { return node_; }

 private:
  std::string group_;
  std::string node_;
  std::string host_;
};

/// What the broker is to publish when the connection with this bdSeq ends without a word, and what the node publishes
/// by itself before it goes.
mqtt::ConnectionWill sparkplug_death(const SparkplugNames& names, std::uint64_t bd_seq, WallTime now);

/// A group, a node or a host: 1 to 255 bytes of UTF-8 without '+', '#', '/' and control characters. Error `invalid`.
Result<void> check_sparkplug_name(std::string_view name);

/// Milliseconds since 1970, as payloads have them.
std::uint64_t sparkplug_time(WallTime time);

}  // namespace tidegate::uplink
