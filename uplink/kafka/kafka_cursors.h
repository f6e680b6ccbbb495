#pragma once

#include <functional>
#include <optional>
#include <string>

#include "core/error.h"
#include "uplink/kafka/kafka_tokens.h"
#include "uplink/target_cursor.h"

namespace tidegate::uplink {

/// How long to wait for a cursor.
struct KafkaCursorWait {
  Duration most{};
  std::function<bool()> is_over;
  std::function<void(const std::string& reason)> tell;  // what is waited for, when that takes a while
};

/// Reads the cursor that the uplink's last committed transaction has left in its topic, and makes that topic where
/// there is none: compacted, one partition. Blocks until it is read, or as `wait` says.
///
/// Nothing when there is no cursor of this uplink. Only right while no transaction of ours is open, so after
/// init_transactions. Those of other gateways are waited for: what is behind them cannot be read before they end.
Result<std::optional<TargetCursor>> read_kafka_cursor(const KafkaAccess& access, const KafkaCursorWait& wait);

}  // namespace tidegate::uplink
