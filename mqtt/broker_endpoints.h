#pragma once

#include <cstdint>
// <utility> stands before Asio: Boost 1.74 uses std::exchange without it.
#include <utility>
#include <vector>

#include <boost/asio/ip/tcp.hpp>

#include "core/host_lookup.h"

namespace tidegate::mqtt {

/// Where to connect to, in the order in which to try. After `failed` tries another one stands first.
std::vector<boost::asio::ip::tcp::endpoint> broker_endpoints(const HostAddresses& addresses, std::uint16_t port,
                                                             std::size_t failed);

}  // namespace tidegate::mqtt
