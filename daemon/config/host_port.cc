#include "daemon/config/host_port.h"

#include <arpa/inet.h>

#include <algorithm>

#include "core/parse_whole.h"

namespace tidegate::daemon {
namespace {

bool is_wrong_in_host(char c) {
  const auto byte = static_cast<unsigned char>(c);
  return byte < 0x20 || byte == 0x7f || std::string_view(" /@?#[]\\").find(c) != std::string::npos;
}

// As IPv6 has it, those of IPv4 mapped; nothing for a name.
std::optional<in6_addr> address_of(const std::string& host) {
  in6_addr address{};
  const std::string digits = host == "localhost" ? "127.0.0.1" : host;
  if (::inet_pton(AF_INET6, digits.c_str(), &address) == 1) return address;
  if (::inet_pton(AF_INET6, ("::ffff:" + digits).c_str(), &address) == 1) return address;
  return std::nullopt;
}

bool stands_for(const in6_addr& address, const in6_addr& other) {
  if (IN6_IS_ADDR_UNSPECIFIED(&address) != 0) return true;
  const bool is_any_of_four = IN6_IS_ADDR_V4MAPPED(&address) != 0 && address.s6_addr32[3] == 0;
  return IN6_ARE_ADDR_EQUAL(&address, &other) != 0 || (is_any_of_four && IN6_IS_ADDR_V4MAPPED(&other) != 0);
}

}  // namespace

std::optional<HostPort> parse_host_port(std::string_view text) {
  HostPort out;
  std::string_view rest;
  if (text.starts_with('[')) {
    const std::size_t close = text.find(']');
    if (close == std::string_view::npos) return std::nullopt;
    out.host = text.substr(1, close - 1);
    if (out.host.find(':') == std::string::npos) return std::nullopt;
    rest = text.substr(close + 1);
  } else {
    const std::size_t colon = std::min(text.find(':'), text.size());
    out.host = text.substr(0, colon);
    rest = text.substr(colon);
  }
  if (out.host.empty() || std::any_of(out.host.begin(), out.host.end(), is_wrong_in_host)) return std::nullopt;
  if (rest.empty()) return out;
  out.port = parse_whole<std::uint16_t>(rest.substr(1));
  if (rest.front() != ':' || !out.port) return std::nullopt;
  return out;
}

std::string format_host_port(const std::string& host, std::uint16_t port) {
  const bool is_six = host.find(':') != std::string::npos;
  return (is_six ? "[" + host + "]" : host) + ":" + std::to_string(port);
}

bool is_loopback_host(const std::string& host) {
  if (host == "localhost") return true;
  in_addr four{};
  if (::inet_pton(AF_INET, host.c_str(), &four) == 1) return (ntohl(four.s_addr) >> 24) == 127;
  in6_addr six{};
  return ::inet_pton(AF_INET6, host.c_str(), &six) == 1 && IN6_IS_ADDR_LOOPBACK(&six) != 0;
}

bool are_same_place(const std::string& host, const std::string& other) {
  const auto one = address_of(host);
  const auto two = address_of(other);
  return one && two && (stands_for(*one, *two) || stands_for(*two, *one));
}

}  // namespace tidegate::daemon
