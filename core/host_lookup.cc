#include "core/host_lookup.h"

#include <arpa/inet.h>
#include <netdb.h>
#include <netinet/in.h>
#include <pthread.h>

#include <array>
#include <csignal>
#include <cstring>
#include <system_error>
#include <thread>
#include <utility>

namespace tidegate {
namespace {

Result<HostAddresses> addresses_of(const std::string& host) {
  addrinfo hints{};
  hints.ai_family = AF_UNSPEC;
  hints.ai_socktype = SOCK_STREAM;
  addrinfo* found = nullptr;
  const int code = ::getaddrinfo(host.c_str(), nullptr, &hints, &found);
  if (code != 0) return fail(ErrorCode::retry, ::gai_strerror(code));
  HostAddresses addresses;
  for (const addrinfo* at = found; at != nullptr; at = at->ai_next) {
    HostAddress& address = addresses.emplace_back();
    if (at->ai_addrlen > sizeof address.address) {
      addresses.pop_back();
      continue;
    }
    std::memcpy(&address.address, at->ai_addr, at->ai_addrlen);
    address.length = at->ai_addrlen;
  }
  ::freeaddrinfo(found);
  return addresses;
}

}  // namespace

bool is_address(const std::string& host) {
  std::array<unsigned char, sizeof(in6_addr)> address{};
  return ::inet_pton(AF_INET, host.c_str(), address.data()) == 1 ||
         ::inet_pton(AF_INET6, host.c_str(), address.data()) == 1;
}

void look_up_host(const std::string& host, std::function<void(Result<HostAddresses>)> then) {
  try {
    std::thread([host, then] {
      sigset_t all;
      sigfillset(&all);
      pthread_sigmask(SIG_BLOCK, &all, nullptr);
      pthread_setname_np(pthread_self(), "lookup");
      then(addresses_of(host));
    }).detach();
  } catch (const std::system_error& problem) {
    then(fail(ErrorCode::retry, std::string("no thread to look it up: ") + problem.what()));
  }
}

}  // namespace tidegate
