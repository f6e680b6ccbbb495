#include "daemon/admin/admin_host.h"

#include <arpa/inet.h>

#include <algorithm>
#include <string>

#include "core/small_letters.h"

namespace tidegate::daemon {
namespace {

constexpr std::size_t kPortDigitsMax = 5;

bool is_port(std::string_view text) {
  return text.size() <= kPortDigitsMax &&
         std::all_of(text.begin(), text.end(), [](char digit) { return digit >= '0' && digit <= '9'; });
}

bool is_address(int family, std::string_view text) {
  in6_addr address{};
  return ::inet_pton(family, std::string(text).c_str(), &address) == 1;
}

bool is_same_name(std::string_view a, std::string_view b) {
  return small_letters(std::string(a)) == small_letters(std::string(b));
}

}  // namespace

bool is_own_host(std::string_view host_header, std::string_view configured_host) {
  if (host_header.find('\0') != std::string_view::npos) return false;
  if (host_header.starts_with('[')) {
    const std::size_t end = host_header.find(']');
    if (end == std::string_view::npos) return false;
    const std::string_view behind = host_header.substr(end + 1);
    return is_address(AF_INET6, host_header.substr(1, end - 1)) &&
           (behind.empty() || (behind.front() == ':' && is_port(behind.substr(1))));
  }
  const std::size_t colon = host_header.find(':');
  if (colon != std::string_view::npos && !is_port(host_header.substr(colon + 1))) return false;
  const std::string_view host = host_header.substr(0, colon);
  if (host.empty()) return false;
  return is_address(AF_INET, host) || is_same_name(host, "localhost") || is_same_name(host, configured_host);
}

}  // namespace tidegate::daemon
