#pragma once

#include <chrono>
#include <string_view>
#include <vector>

#include "core/error.h"
#include "core/time.h"

namespace tidegate::uplink {

/// A part of each day, in UTC: from `begin` on, up to `end`, over midnight where that comes first.
struct SendingWindow {
  std::chrono::minutes begin{};
  std::chrono::minutes end{};
  bool operator==(const SendingWindow&) const = default;
};

/// "22:00-06:00"; "00:00-24:00" is the whole day. Error `invalid` says what is allowed.
Result<SendingWindow> parse_sending_window(std::string_view text);

/// The first moment from `now` on that is in one of the windows: `now` itself where it is, or where there are none.
WallTime next_opening(const std::vector<SendingWindow>& windows, WallTime now);

}  // namespace tidegate::uplink
