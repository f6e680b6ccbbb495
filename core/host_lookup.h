#pragma once

#include <sys/socket.h>

#include <functional>
#include <string>
#include <vector>

#include "core/error.h"

namespace tidegate {

struct HostAddress {
  sockaddr_storage address{};  // its port is 0
  socklen_t length = 0;
};
using HostAddresses = std::vector<HostAddress>;  // in the order in which to try them

/// An IPv4 or IPv6 address in digits, for which no name server is asked.
bool is_address(const std::string& host);

/// Looks the host up on a thread of its own, "lookup", and calls `then` there, with the addresses or with why there is
/// none, in the resolver's words. A name server that does not answer, as in most outages, holds a lookup up for half a
/// minute, and nothing can end it: so nobody waits for the thread, and `then` owns what it uses. It must not throw.
/// Error `retry`, from here: there is no thread to be had.
void look_up_host(const std::string& host, std::function<void(Result<HostAddresses>)> then);
using LookUpHost = std::function<void(const std::string& host, std::function<void(Result<HostAddresses>)> then)>;

}  // namespace tidegate
