#include "mqtt/broker_host.h"

#include "core/parse_whole.h"

namespace tidegate::mqtt {

std::string host_of(const std::string& uri) {
  const auto scheme = uri.find("://");
  std::string host = scheme == std::string::npos ? uri : uri.substr(scheme + 3);
  host = host.substr(0, host.find('/'));
  if (!host.empty() && host.front() == '[') return host.substr(1, host.find(']') - 1);
  return host.substr(0, host.rfind(':'));
}

std::uint16_t port_of(const std::string& uri) {
  const std::string_view text = std::string_view(uri).substr(uri.rfind(':') + 1);
  return parse_whole<std::uint16_t>(text).value_or(wants_tls(uri) ? 8883 : 1883);
}

bool wants_tls(const std::string& uri) { return uri.starts_with("mqtts://") || uri.starts_with("ssl://"); }

}  // namespace tidegate::mqtt
