#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace tidegate::daemon {

struct HostPort {
  std::string host;  // without brackets
  std::optional<std::uint16_t> port;
};

/// "host", "host:1", "[::1]:1"; nothing when it is none of them.
std::optional<HostPort> parse_host_port(std::string_view text);
/// With brackets around an IPv6 address.
std::string format_host_port(const std::string& host, std::uint16_t port);

/// An address, or "localhost", that is reached from this machine alone.
bool is_loopback_host(const std::string& host);

/// Whether two sockets cannot listen on one port with these addresses (or "localhost"): they are the same, or one of
/// them stands for all. On Linux "::" takes those of IPv4 too.
bool are_same_place(const std::string& host, const std::string& other);

}  // namespace tidegate::daemon
