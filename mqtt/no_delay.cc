#include "mqtt/no_delay.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include <cstring>
#include <filesystem>
#include <optional>
#include <system_error>

#include "core/parse_whole.h"

namespace tidegate::mqtt {
namespace {

// Of the other side; nothing where it is no connection by IP.
std::optional<std::uint16_t> peer_port(int fd) {
  sockaddr_storage peer{};
  socklen_t size = sizeof peer;
  if (::getpeername(fd, reinterpret_cast<sockaddr*>(&peer), &size) != 0) return std::nullopt;
  if (peer.ss_family == AF_INET) {
    sockaddr_in address{};
    std::memcpy(&address, &peer, sizeof address);
    return ntohs(address.sin_port);
  }
  if (peer.ss_family == AF_INET6) {
    sockaddr_in6 address{};
    std::memcpy(&address, &peer, sizeof address);
    return ntohs(address.sin6_port);
  }
  return std::nullopt;
}

}  // namespace

// Another thread may close one of these meanwhile and open something else in its place, which has no harm of this.
void send_without_delay_to(std::uint16_t port) {
  std::error_code problem;
  for (std::filesystem::directory_iterator at("/proc/self/fd", problem), end; !problem && at != end;
       at.increment(problem)) {
    const auto fd = parse_whole<int>(at->path().filename().native());
    if (!fd || peer_port(*fd) != port) continue;
    const int on = 1;
    ::setsockopt(*fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  }
}

}  // namespace tidegate::mqtt
