#pragma once

#include <cstdint>

namespace tidegate::mqtt {

/// Has TCP send at once whatever is written to a peer's `port` by this process. Paho leaves its sockets with Nagle's
/// algorithm, which keeps a small message until the other side's TCP has acknowledged the one before it: a round trip
/// of the link, and up to 40 ms more where that side waits for something to acknowledge it with (RFC 896, RFC 1122
/// section 4.2.3.2). Nothing of Paho's interface tells which socket it is, so it is found among the open files of the
/// process; another connection to the same port has no use for the delay either. Where there is no /proc, nothing
/// happens. Any thread.
void send_without_delay_to(std::uint16_t port);

}  // namespace tidegate::mqtt
