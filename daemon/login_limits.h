#pragma once

#include <cstddef>
#include <map>
#include <optional>
#include <string>

#include "core/time.h"

namespace tidegate::daemon {

/// How often somebody may be wrong: from one address ten times at once and then each six seconds, from all together a
/// hundred and twenty times and then twice a second. What all others do does not concern an address from which somebody
/// was let in lately. Bounded: of so many addresses it knows something.
class LoginLimits {
 public:
  /// How long whoever comes from there has to wait until a try is looked at; nothing: it is looked at now.
  std::optional<Duration> wait(const std::string& from, BootTime now) const;
  void note_failure(const std::string& from, BootTime now);
  void note_success(const std::string& from, BootTime now);

  static constexpr std::size_t kAddressesMax = 256;
  static constexpr Duration kEach = std::chrono::seconds(6);
  static constexpr Duration kAtOnce = std::chrono::seconds(60);  // ten of these
  static constexpr Duration kEachOfAll = std::chrono::milliseconds(500);
  static constexpr Duration kWelcome = std::chrono::hours(12);

 private:
  struct Address {
    BootTime paid_until{};  // each failure costs some time
    BootTime welcome_until{};
  };
  Address& find(const std::string& from, BootTime now);
  void make_room(BootTime now);

  std::map<std::string, Address> addresses_;
  BootTime all_paid_until_{};
};

}  // namespace tidegate::daemon
