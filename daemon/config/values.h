#pragma once

#include <cstdint>
#include <initializer_list>
#include <string>
#include <string_view>

#include "core/error.h"
#include "daemon/config/config.h"
#include "mqtt/broker_options.h"

namespace tidegate::daemon {

inline constexpr std::uint64_t kKiB = 1024;

// Texts with a form of their own. Each error says what was found and what is allowed.

/// Names of gateways, drivers, rules and uplinks: they become parts of topics, metrics and client ids.
Result<void> check_name(const std::string& name);
inline constexpr const char* kNameForm =
    "a name of 1 to 64 bytes without white space, control characters or any of / + # * ? { } \" \\";

/// An IP address and a port to listen on: "0.0.0.0:1883", "[::]:1883".
struct ListenAddress {
  std::string host;
  std::uint16_t port = 0;
};
Result<ListenAddress> parse_listen_address(const std::string& text);

/// "mqtt://host[:1883]", "mqtts://host[:8883]"; fills in `uri`, always with a port.
Result<void> parse_broker_uri(const std::string& text, mqtt::BrokerOptions& into);

/// Every {name} of the text is one of these.
Result<void> check_placeholders(const std::string& text, std::initializer_list<std::string_view> known);

/// A topic to publish to: {gateway} and {stream} may stand in it.
Result<void> check_publish_topic(const std::string& topic);

/// Readings a second: "5000/s", "0.5/s".
Result<double> parse_rate(const std::string& text);
inline constexpr const char* kRateForm = "a rate from \"0.1/s\" to \"1000000/s\"";

/// A glob over tag paths.
Result<void> check_tag_glob(const std::string& glob);

}  // namespace tidegate::daemon
