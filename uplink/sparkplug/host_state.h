#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

namespace tidegate::uplink {

/// What a primary host said of itself (Sparkplug 3.0, section 6.2.2): `{"online":true,"timestamp":1668114759262}`.
struct HostState {
  bool is_online = false;
  std::int64_t timestamp = 0;  // milliseconds since 1970 UTC
};

/// Nothing when the payload says no such thing.
std::optional<HostState> parse_host_state(std::string_view payload);

}  // namespace tidegate::uplink
