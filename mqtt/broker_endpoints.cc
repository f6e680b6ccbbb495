#include "mqtt/broker_endpoints.h"

#include <algorithm>
#include <cstring>

namespace tidegate::mqtt {

using boost::asio::ip::tcp;

std::vector<tcp::endpoint> broker_endpoints(const HostAddresses& addresses, std::uint16_t port, std::size_t failed) {
  std::vector<tcp::endpoint> made;
  for (const HostAddress& address : addresses) {
    tcp::endpoint endpoint;
    if (address.length > endpoint.capacity()) continue;
    std::memcpy(endpoint.data(), &address.address, address.length);
    endpoint.resize(address.length);
    endpoint.port(port);
    made.push_back(endpoint);
  }
  if (!made.empty()) {
    std::rotate(made.begin(), made.begin() + static_cast<std::ptrdiff_t>(failed % made.size()), made.end());
  }
  return made;
}

}  // namespace tidegate::mqtt
