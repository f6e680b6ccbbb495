#include "drivers/modbus/tcp_connect.h"

#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/select.h>
#include <sys/socket.h>

#include <cerrno>
#include <memory>

namespace tidegate::drivers {
namespace {

using AddressList = std::unique_ptr<addrinfo, decltype(&::freeaddrinfo)>;

std::string name_of(const TcpTarget& target) {
  const bool brackets = target.host.find(':') != std::string::npos;
  return (brackets ? "[" + target.host + "]" : target.host) + ":" + std::to_string(target.port);
}

Result<AddressList> look_up(const TcpTarget& target) {
  addrinfo hints{};
  hints.ai_family = AF_UNSPEC;
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = AI_NUMERICSERV;
  addrinfo* found = nullptr;
  const int failed = ::getaddrinfo(target.host.c_str(), std::to_string(target.port).c_str(), &hints, &found);
  if (failed != 0) {
    return fail(ErrorCode::retry, "host \"" + target.host + "\" is not found (" + ::gai_strerror(failed) +
                                      "): check the name in the url and the name server");
  }
  return AddressList(found, &::freeaddrinfo);
}

// 0, or the errno of what went wrong.
int finish_connect(int fd, Duration left, const Interrupt& interrupt) {
  switch (wait_for(fd, POLLOUT, interrupt, left)) {
    case WaitResult::timed_out:
      return ETIMEDOUT;
    case WaitResult::interrupted:
      return ECANCELED;
    case WaitResult::ready:
      break;
  }
  int error = 0;
  socklen_t length = sizeof error;
  return ::getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &length) == 0 ? error : errno;
}

int connect_one(const addrinfo& address, Duration left, const Interrupt& interrupt, Descriptor& into) {
  into.reset(::socket(address.ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, address.ai_protocol));
  if (!into.is_open()) return errno;
  if (into.get() >= FD_SETSIZE) return EMFILE;
  const int on = 1;
  ::setsockopt(into.get(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  if (::connect(into.get(), address.ai_addr, address.ai_addrlen) == 0) return 0;
  return errno == EINPROGRESS ? finish_connect(into.get(), left, interrupt) : errno;
}

tl::unexpected<Error> refuse(const TcpTarget& target, int error) {
  const std::string what = describe_errno("connect to " + name_of(target), error);
  if (error == ECANCELED) return fail(ErrorCode::give_up_item, what);
  if (error == EMFILE) {
    return fail(ErrorCode::retry, what + ": a Modbus socket needs a descriptor below " + std::to_string(FD_SETSIZE) +
                                      "; the process has too many files and sockets open");
  }
  return fail(ErrorCode::link_down, what +
                                        ": check address and port, the cable, and that the device allows another "
                                        "Modbus TCP connection");
}

}  // namespace

Result<Descriptor> connect_tcp(const TcpTarget& target, const Clock& clock, const Interrupt& interrupt) {
  const auto addresses = look_up(target);
  if (!addresses) return tl::unexpected(addresses.error());
  const BootTime deadline = clock.boot_now() + target.timeout;
  int error = EADDRNOTAVAIL;
  for (const addrinfo* address = addresses->get(); address; address = address->ai_next) {
    Descriptor socket;
    error = connect_one(*address, deadline - clock.boot_now(), interrupt, socket);
    if (error == 0) return socket;
    if (error == ECANCELED) break;
  }
  return refuse(target, error);
}

}  // namespace tidegate::drivers
