#pragma once

#include <optional>
#include <string>

#include "core/time.h"

namespace tidegate::daemon {

/// Whether a link that has come up may be called up: not when it has ended soon some times in a row. Then it has to
/// hold first, as otherwise each of its ups and downs would be an event and a line, for as long as that goes on.
/// Batches are sent meanwhile, and that one of them is taken proves nothing: two clients of one id do so by turns.
class LinkDoubt {
 public:
  static constexpr Duration kHolds = std::chrono::minutes(1);
  static constexpr unsigned kShortMost = 2;  // in a row: a broker is restarted, and again

  void came_up(BootTime now);
  void went_down(BootTime now, const std::string& why);

  /// Why it is not up though it stands; empty when there is no doubt.
  std::string reason(BootTime now) const;
  /// When that ends if the link holds.
  std::optional<BootTime> ends_at() const;

 private:
  std::optional<BootTime> up_since_;
  unsigned short_in_row_ = 0;
  std::string why_;  // the last one ended
};

}  // namespace tidegate::daemon
