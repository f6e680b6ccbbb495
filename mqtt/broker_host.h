#pragma once

#include <cstdint>
#include <string>

namespace tidegate::mqtt {

/// The host of "mqtt://host:1883" or "mqtts://[::1]:8883".
std::string host_of(const std::string& uri);

std::uint16_t port_of(const std::string& uri);
bool wants_tls(const std::string& uri);

}  // namespace tidegate::mqtt
