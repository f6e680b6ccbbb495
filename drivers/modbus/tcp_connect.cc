#include "drivers/modbus/tcp_connect.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/select.h>
#include <sys/socket.h>

#include <cerrno>
#include <memory>
#include <mutex>
#include <optional>

namespace tidegate::drivers {
namespace {

// Longer than the resolver tries; what a thread finds after that is for nobody.
constexpr Duration kLookUpMax = std::chrono::seconds(60);

std::string name_of(const TcpTarget& target) {
  const bool brackets = target.host.find(':') != std::string::npos;
  return (brackets ? "[" + target.host + "]" : target.host) + ":" + std::to_string(target.port);
}

tl::unexpected<Error> refuse_interrupted(const TcpTarget& target) {
  return fail(ErrorCode::give_up_item, "connect to " + name_of(target) + ": interrupted");
}

// What the bus thread and the thread that looks a name up have in common.
struct LookUp {
  Interrupt done;
  std::mutex mutex;
  std::optional<Result<HostAddresses>> found;
};

Result<HostAddresses> find(const TcpTarget& target, const Interrupt& interrupt, const LookUpHost& look_up) {
  const auto shared = std::make_shared<LookUp>();
  look_up(target.host, [shared](Result<HostAddresses> found) {
    const std::lock_guard lock(shared->mutex);
    shared->found = std::move(found);
    shared->done.raise();
  });
  if (wait_for(shared->done.fd(), POLLIN, interrupt, kLookUpMax) == WaitResult::interrupted) {
    return refuse_interrupted(target);
  }
  const std::lock_guard lock(shared->mutex);
  if (shared->found && *shared->found) return **shared->found;
  return fail(ErrorCode::retry, "host \"" + target.host + "\" is not found (" +
                                    (shared->found ? shared->found->error().message : "no answer in time") +
                                    "): check the name in the url and the name server");
}

void set_port(HostAddress& address, std::uint16_t port) {
  if (address.address.ss_family == AF_INET6) {
    reinterpret_cast<sockaddr_in6&>(address.address).sin6_port = htons(port);
  } else {
    reinterpret_cast<sockaddr_in&>(address.address).sin_port = htons(port);
  }
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

int connect_one(const HostAddress& address, Duration left, const Interrupt& interrupt, Descriptor& into) {
  into.reset(::socket(address.address.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, IPPROTO_TCP));
  if (!into.is_open()) return errno;
  if (into.get() >= FD_SETSIZE) return EMFILE;
  const int on = 1;
  ::setsockopt(into.get(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  if (::connect(into.get(), reinterpret_cast<const sockaddr*>(&address.address), address.length) == 0) return 0;
  return errno == EINPROGRESS ? finish_connect(into.get(), left, interrupt) : errno;
}

tl::unexpected<Error> refuse(const TcpTarget& target, int error) {
  const std::string what = describe_errno("connect to " + name_of(target), error);
  if (error == EMFILE) {
    return fail(ErrorCode::retry, what + ": a Modbus socket needs a descriptor below " + std::to_string(FD_SETSIZE) +
                                      "; the process has too many files and sockets open");
  }
  return fail(ErrorCode::link_down, what +
                                        ": check address and port, the cable, and that the device allows another "
                                        "Modbus TCP connection");
}

}  // namespace

Result<Descriptor> connect_tcp(const TcpTarget& target, const Clock& clock, const Interrupt& interrupt,
                               const LookUpHost& look_up) {
  auto addresses = find(target, interrupt, look_up);
  if (!addresses) return tl::unexpected(addresses.error());
  const BootTime deadline = clock.boot_now() + target.timeout;
  int error = EADDRNOTAVAIL;
  auto addresses_left = static_cast<std::int64_t>(addresses->size());
  for (HostAddress& address : *addresses) {
    set_port(address, target.port);
    Descriptor socket;
    error = connect_one(address, (deadline - clock.boot_now()) / addresses_left--, interrupt, socket);
    if (error == 0) return socket;
    if (error == ECANCELED) return refuse_interrupted(target);
  }
  return refuse(target, error);
}

}  // namespace tidegate::drivers
