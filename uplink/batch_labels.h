#pragma once

#include <array>
#include <string>
#include <string_view>
#include <utility>

#include "core/record.h"
#include "uplink/forwarder.h"

namespace tidegate::uplink {

/// What stands beside each batch, or each record of one, wherever a target has a place for it: headers of HTTP and
/// Kafka, attributes of Pub/Sub, user properties of MQTT 5. Names and values are part of the public interface.
inline std::array<std::pair<std::string_view, std::string>, 5> batch_labels(const std::string& gateway,
                                                                            const OutgoingBatch& batch) {
  return {{{"tidegate-gateway", gateway},
           {"tidegate-stream", to_string(batch.stream)},
           {"tidegate-epoch", std::to_string(batch.epoch)},
           {"tidegate-from", std::to_string(batch.from)},
           {"tidegate-to", std::to_string(batch.to)}}};
}

inline constexpr const char* kJsonMediaType = "application/json";
inline constexpr const char* kInfluxMediaType = "text/plain; charset=utf-8";

}  // namespace tidegate::uplink
