#include "mqtt/broker_host.h"

#include <arpa/inet.h>
#include <netdb.h>
#include <pthread.h>
#include <sys/socket.h>

#include <array>
#include <memory>
#include <system_error>
#include <thread>
#include <utility>

#include "core/text.h"

namespace tidegate::mqtt {
namespace {

bool is_address(const std::string& host) {
  std::array<unsigned char, sizeof(in6_addr)> address{};
  return ::inet_pton(AF_INET, host.c_str(), address.data()) == 1 ||
         ::inet_pton(AF_INET6, host.c_str(), address.data()) == 1;
}

std::string problem_with(const std::string& host) {
  addrinfo hints{};
  hints.ai_family = AF_UNSPEC;
  hints.ai_socktype = SOCK_STREAM;
  addrinfo* found = nullptr;
  const int code = ::getaddrinfo(host.c_str(), nullptr, &hints, &found);
  if (code != 0) {
    return "the name \"" + clip(host) + "\" has no address (" + ::gai_strerror(code) +
           "): check it and the name server";
  }
  ::freeaddrinfo(found);
  return {};
}

}  // namespace

std::string host_of(const std::string& uri) {
  const auto scheme = uri.find("://");
  std::string host = scheme == std::string::npos ? uri : uri.substr(scheme + 3);
  host = host.substr(0, host.find('/'));
  if (!host.empty() && host.front() == '[') return host.substr(1, host.find(']') - 1);
  return host.substr(0, host.rfind(':'));
}

void look_up(const std::string& host, std::function<void(std::string problem)> then) {
  if (is_address(host)) return then({});
  try {
    std::thread([host, then] {
      ::pthread_setname_np(::pthread_self(), "mqtt-lookup");
      then(problem_with(host));
    }).detach();
  } catch (const std::system_error&) {  // no thread to be had: Paho shall try
    then({});
  }
}

}  // namespace tidegate::mqtt
