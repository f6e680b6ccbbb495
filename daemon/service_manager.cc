#include "daemon/service_manager.h"

#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <cstddef>
#include <cstdlib>
#include <cstring>
#include <string_view>

#include "core/descriptor.h"
#include "core/log.h"
#include "core/parse_whole.h"

namespace tidegate::daemon {
namespace {

std::optional<std::uint64_t> number_from_environment(const char* name) {
  const char* text = std::getenv(name);
  return text == nullptr ? std::nullopt : parse_whole<std::uint64_t>(text);
}

}  // namespace

ServiceManager::ServiceManager() {
  if (const char* path = std::getenv("NOTIFY_SOCKET"); path != nullptr) socket_path_ = path;
  if (constexpr std::size_t most = sizeof(sockaddr_un::sun_path) - 1; socket_path_.size() > most) {
    log_warning("systemd", "NOTIFY_SOCKET has {} bytes, the path of a socket at most {}: nobody is told of our state",
                socket_path_.size(), most);
    socket_path_.clear();
  }
  const auto for_process = number_from_environment("WATCHDOG_PID");
  const auto microseconds = number_from_environment("WATCHDOG_USEC");
  const bool for_us = !for_process || *for_process == static_cast<std::uint64_t>(::getpid());
  if (microseconds && *microseconds > 0 && for_us) {
    watchdog_interval_ = std::chrono::microseconds(static_cast<std::int64_t>(*microseconds / 2));
  }
}

// systemd compares it with its own CLOCK_MONOTONIC, which stands still while the machine is suspended; our boot clock
// does not.
void ServiceManager::reloading() const {
  const auto now = std::chrono::steady_clock::now().time_since_epoch();
  const auto microseconds = std::chrono::duration_cast<std::chrono::microseconds>(now).count();
  notify("RELOADING=1\nMONOTONIC_USEC=" + std::to_string(microseconds) + "\n");
}

void ServiceManager::notify(const std::string& message) const {
  if (socket_path_.empty()) return;
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::memcpy(address.sun_path, socket_path_.data(), socket_path_.size());
  if (socket_path_.front() == '@') address.sun_path[0] = '\0';  // abstract name
  const Descriptor fd(::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  if (!fd.is_open()) return;
  const auto length = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + socket_path_.size());
  const ssize_t sent = ::sendto(fd.get(), message.data(), message.size(), MSG_NOSIGNAL,
                                reinterpret_cast<const sockaddr*>(&address), length);
  if (sent < 0) log_warning("systemd", "{}", describe_errno("notify " + socket_path_, errno));
}

}  // namespace tidegate::daemon
