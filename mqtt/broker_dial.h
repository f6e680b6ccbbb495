#pragma once

#include <functional>
// <utility> stands before Asio: Boost 1.74 uses std::exchange without it.
#include <utility>
#include <vector>

#include <boost/asio/ip/tcp.hpp>

#include "core/error.h"
#include "core/time.h"

namespace tidegate::mqtt {

/// Connects `socket` to the first of the addresses that takes it. Each but the last has its share of `patience`, so
/// that one that does not answer does not cost the whole try; that the last comes to an end is the caller's business.
/// The socket does not block then, and sends without delay.
///
/// `then`, which owns the socket, is told once, or what was wrong with the last address: on the socket's loop, or at
/// once where no address can be tried. Closing the socket ends it, and nothing is told.
void dial(boost::asio::ip::tcp::socket& socket, std::vector<boost::asio::ip::tcp::endpoint> addresses,
          Duration patience, std::function<void(const Result<void>& connected)> then);

}  // namespace tidegate::mqtt
