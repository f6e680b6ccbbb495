#pragma once

#include <string_view>

namespace tidegate::daemon {

/// Whether a Host header names this machine in a way that no name server has a say in: an address, "localhost", or the
/// host that the configuration gives the admin address. A page of another site that lets its own name point at loopback
/// (DNS rebinding) comes with its own name.
bool is_own_host(std::string_view host_header, std::string_view configured_host);

}  // namespace tidegate::daemon
