#include "uplink/postgresql/postgresql_addresses.h"

#include <netdb.h>

#include <array>
#include <chrono>
#include <condition_variable>
#include <memory>
#include <mutex>
#include <optional>
#include <utility>

#include "core/clock.h"
#include "core/host_lookup.h"

namespace tidegate::uplink {
namespace {

constexpr auto kLookAround = std::chrono::milliseconds(100);

/// Shared with a lookup that may last longer than anybody waits for it.
struct Lookup {
  std::mutex mutex;
  std::condition_variable changed;
  std::optional<Result<HostAddresses>> found;
};

std::string digits_of(const HostAddress& one) {
  std::array<char, NI_MAXHOST> digits{};
  const int code = ::getnameinfo(reinterpret_cast<const sockaddr*>(&one.address), one.length, digits.data(),
                                 digits.size(), nullptr, 0, NI_NUMERICHOST);
  return code == 0 ? digits.data() : "";
}

Result<std::vector<std::string>> all_digits(const Result<HostAddresses>& found, const std::string& host) {
  if (!found) return fail(ErrorCode::link_down, "the host " + host + " is not known: " + found.error().message);
  std::vector<std::string> addresses;
  for (const HostAddress& one : *found) {
    if (auto digits = digits_of(one); !digits.empty()) addresses.push_back(std::move(digits));
  }
  if (addresses.empty()) return fail(ErrorCode::link_down, "the host " + host + " has no address");
  return addresses;
}

}  // namespace

Result<std::vector<std::string>> look_up_addresses(const std::string& host, BootTime deadline,
                                                   const std::function<bool()>& gives_up) {
  if (host.starts_with('/')) return std::vector<std::string>{""};
  const SystemClock clock;
  const auto lookup = std::make_shared<Lookup>();
  look_up_host(host, [lookup](Result<HostAddresses> found) {
    const std::lock_guard lock(lookup->mutex);
    lookup->found = std::move(found);
    lookup->changed.notify_all();
  });
  std::unique_lock lock(lookup->mutex);
  while (!lookup->changed.wait_for(lock, kLookAround, [&] { return lookup->found.has_value(); })) {
    if (gives_up() || clock.boot_now() >= deadline) {
      return fail(ErrorCode::link_down, "the name server does not answer for the host " + host);
    }
  }
  return all_digits(*lookup->found, host);
}

}  // namespace tidegate::uplink
