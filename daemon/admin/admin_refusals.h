#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

namespace tidegate::daemon {

/// Why the admin address turned somebody away.
enum class AdminRefusal : std::uint8_t {
  no_token,     // nothing that lets in was shown where it is needed
  wrong_token,  // what was shown is not the token
  too_many,     // what was shown was not looked at, after too many wrong ones
  other_site,   // a page of another site asks
  other_host,   // the Host is not one of this machine
  no_tls,       // TLS came to nothing: none was spoken, the certificate was not liked, too many came at once
};
inline constexpr std::size_t kAdminRefusalCount = 6;

/// "no_token" and so on: the words of the metrics.
const char* to_string(AdminRefusal why);

/// How often that was, since the start. Core thread.
class AdminRefusals {
 public:
  void add(AdminRefusal why) { ++counts_[static_cast<std::size_t>(why)]; }
  std::uint64_t of(AdminRefusal why) const { return counts_[static_cast<std::size_t>(why)]; }

 private:
  std::array<std::uint64_t, kAdminRefusalCount> counts_{};
};

}  // namespace tidegate::daemon
