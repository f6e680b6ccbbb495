#include "core/shown_address.h"

#include <arpa/inet.h>

#include <algorithm>

#include "core/text.h"

namespace tidegate {
namespace {

constexpr std::string_view kDigits = "0123456789";
constexpr std::size_t kPortDigitsMax = 5;

bool is_host_character(char c) {
  const bool is_letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
  return is_letter || (c >= '0' && c <= '9') || std::string_view(".-_{}").find(c) != std::string_view::npos;
}

bool is_ipv6(std::string_view text) {
  in6_addr address{};
  return ::inet_pton(AF_INET6, std::string(text).c_str(), &address) == 1;
}

std::size_t host_length(std::string_view rest) {
  if (is_ipv6(rest)) return rest.size();
  const std::size_t close = std::min(rest.find(']'), rest.size());
  if (rest.starts_with('[') && is_ipv6(rest.substr(1, close - 1))) return std::min(close + 1, rest.size());
  const auto* const end = std::find_if_not(rest.begin(), rest.end(), is_host_character);
  return static_cast<std::size_t>(end - rest.begin());
}

// ":1883", when the address or a path is all that follows.
std::size_t port_length(std::string_view rest) {
  if (!rest.starts_with(':')) return 0;
  const std::size_t end = std::min(rest.find_first_not_of(kDigits, 1), rest.size());
  const bool is_last = end == rest.size() || std::string_view("/?#").find(rest[end]) != std::string_view::npos;
  return is_last && end > 1 && end <= kPortDigitsMax + 1 ? end : 0;
}

}  // namespace

std::string shown_address(std::string_view text) {
  const std::size_t colon = std::min(text.find_first_of(":/?#@"), text.size());
  const std::size_t begin = text.substr(colon).starts_with("://") ? colon + 3 : 0;
  std::string out(text.substr(0, begin));
  std::string_view rest = text.substr(begin);
  if (const std::size_t at = rest.rfind('@'); at != std::string_view::npos) {
    // Whether the last @ ends a login or stands in path or query nobody can tell.
    if (rest.find_first_of("/?#") < at) return clip(out) + "...";
    out += "...@";
    rest.remove_prefix(at + 1);
  }
  std::size_t shown = host_length(rest);
  shown += port_length(rest.substr(shown));
  out += rest.substr(0, shown);
  rest.remove_prefix(shown);
  if (!rest.empty() && std::string_view(":/?#").find(rest.front()) != std::string_view::npos) {
    out += rest.front();
    rest.remove_prefix(1);
  }
  return clip(out) + (rest.empty() ? "" : "...");
}

}  // namespace tidegate
