#pragma once

#include <cstddef>
#include <map>
#include <optional>
#include <string>

#include "core/time.h"

namespace tidegate::daemon {

/// How often something may come: from one address so many at once and then one each so often, and so from all of them
/// together. An address from which somebody was let in lately may do more, and does not wait for the others. Bounded:
/// of so many addresses it knows something.
class AddressLimits {
 public:
  struct Rate {
    std::int64_t at_once;
    Duration each;
  };
  AddressLimits(Rate one, Rate all, Rate welcome) : one_(one), all_(all), welcome_(welcome) {}
  AddressLimits(Rate one, Rate all) : AddressLimits(one, all, one) {}

  struct Wait {
    Duration time{};
    bool is_for_all = false;  // and not because of the address itself
  };
  /// How long whoever comes from there has to wait; nothing: not at all.
  std::optional<Wait> wait(const std::string& from, BootTime now) const;
  void take(const std::string& from, BootTime now);
  void welcome(const std::string& from, BootTime now);

  static constexpr std::size_t kAddressesMax = 256;
  static constexpr Duration kWelcome = std::chrono::hours(12);

 private:
  struct Address {
    BootTime paid_until{};  // each costs some time
    BootTime welcome_until{};
  };
  Address& find(const std::string& from, BootTime now);
  void make_room(BootTime now);

  const Rate& rate_of(const Address& address, BootTime now) const {
    return address.welcome_until > now ? welcome_ : one_;
  }

  Rate one_;
  Rate all_;
  Rate welcome_;
  std::map<std::string, Address> addresses_;
  BootTime all_paid_until_{};
};

}  // namespace tidegate::daemon
