#pragma once

#include <functional>
#include <optional>
#include <string>

#include "core/error.h"
#include "uplink/kafka/kafka_tokens.h"
#include "uplink/target_cursor.h"

namespace tidegate::uplink {

/// Reads the cursor that the uplink's last committed transaction has left in its topic, and makes that topic where
/// there is none: compacted, one partition. Blocks until it is read, `patience` is over, or `gives_up` says so.
///
/// Nothing when there is no cursor of this uplink. Only right while no transaction of ours is open, so after
/// init_transactions. Those of other gateways are waited for: what is behind them cannot be read before they end.
Result<std::optional<TargetCursor>> read_kafka_cursor(const KafkaAccess& access, Duration patience,
                                                      const std::function<bool()>& gives_up);

}  // namespace tidegate::uplink
