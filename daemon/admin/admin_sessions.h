#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "core/time.h"

namespace tidegate::daemon {

/// Browsers in which somebody has shown the token: what their cookie has to say. In memory alone, so that a restart
/// ends them all. Of each it keeps a digest, and compares in a time that says nothing.
class AdminSessions {
 public:
  /// What the cookie of a new one says, 64 hexadecimal digits; the oldest ends where there are too many. Empty where
  /// the system has no random numbers.
  std::string begin(BootTime now);
  bool holds(std::string_view cookie, BootTime now) const;
  void end(std::string_view cookie);
  void end_all() { sessions_.clear(); }

  static constexpr std::size_t kSessionsMax = 32;
  static constexpr Duration kLifetime = std::chrono::hours(12);

 private:
  struct Session {
    std::string digest;
    BootTime ends{};
  };
  std::vector<Session> sessions_;  // in the order in which they began
};

/// Whether two secrets are the same, in a time that does not say how much of them is; never where one of them is empty.
/// By their digests (SHA-256).
bool is_same_secret(std::string_view digest, std::string_view other_digest);

}  // namespace tidegate::daemon
