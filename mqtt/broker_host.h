#pragma once

#include <cstdint>
#include <functional>
#include <string>

namespace tidegate::mqtt {

/// The host of "mqtt://host:1883" or "mqtts://[::1]:8883".
std::string host_of(const std::string& uri);

std::uint16_t port_of(const std::string& uri);
bool wants_tls(const std::string& uri);

/// Looks the host up on a thread of its own and calls `then` there, with "" or with why it has no address. An address
/// needs no thread: `then` is called at once.
///
/// Paho looks names up while it holds the lock that all of its clients share, so a name server that does not answer,
/// as in most outages, would hold up the messages of a broker next door. It is only asked to when this has answered.
void look_up(const std::string& host, std::function<void(std::string problem)> then);

}  // namespace tidegate::mqtt
