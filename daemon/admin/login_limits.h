#pragma once

#include <deque>
#include <string>
#include <utility>

#include "daemon/admin/address_limits.h"

namespace tidegate::daemon {

/// How often somebody may be wrong: from one address ten times at once and then each six seconds, from all together a
/// hundred and twenty times and then twice a second. To be wrong in the same way again is no guess, and costs nothing:
/// whoever asks on with a token of before does not keep others of its address from being looked at. Bounded: it knows
/// so many of the last ones.
class LoginLimits {
 public:
  using Wait = AddressLimits::Wait;

  /// Whether this was wrong before, by the digest of what was shown.
  bool is_known(const std::string& from, const std::string& digest) const;
  /// How long whoever comes from there has to wait until a try is looked at; nothing: it is looked at now.
  std::optional<Wait> wait(const std::string& from, BootTime now) const { return limits_.wait(from, now); }
  void note_failure(const std::string& from, const std::string& digest, BootTime now);
  void note_success(const std::string& from, BootTime now) { limits_.welcome(from, now); }

  static constexpr std::size_t kKnownMax = 256;

 private:
  AddressLimits limits_{{10, std::chrono::seconds(6)}, {120, std::chrono::milliseconds(500)}};
  std::deque<std::pair<std::string, std::string>> known_;  // address and digest, the oldest first
};

}  // namespace tidegate::daemon
