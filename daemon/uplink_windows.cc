// When an uplink sends, by the time of day.
#include <algorithm>
#include <chrono>

#include "daemon/uplink_runner.h"

namespace tidegate::daemon {

// Whoever does not know the time sends.
std::optional<WallTime> UplinkRunner::next_opening() const {
  const auto& windows = forwarder_.options().windows;
  const Clock& clock = *environment_.clock;
  if (windows.empty() || clock.quality() == ClockQuality::unsynced) return std::nullopt;
  const WallTime wall = clock.wall_now();
  const WallTime opening = uplink::next_opening(windows, wall);
  return opening == wall ? std::nullopt : std::optional(opening);
}

bool UplinkRunner::obeys_windows(Stream stream) const {
  return stream == Stream::readings || !forwarder_.options().alarms_always;
}

// The clock may be set at any moment, so it is looked at once a minute.
void UplinkRunner::look_at_windows() {
  constexpr Duration kLookAgain = std::chrono::minutes(1);
  if (forwarder_.options().windows.empty()) return;
  const auto opening = next_opening();
  const Clock& clock = *environment_.clock;
  const BootTime until =
      opening ? clock.boot_now() + std::clamp<Duration>(*opening - clock.wall_now(), Duration::zero(), kLookAgain)
              : BootTime::min();
  for (const Stream stream : forwarder_.options().streams) {
    if (obeys_windows(stream)) forwarder_.hold(stream, until);
  }
}

bool UplinkRunner::is_held(Stream stream) const { return obeys_windows(stream) && next_opening().has_value(); }

std::string UplinkRunner::waiting() const {
  constexpr std::size_t kHourAt = 11;  // in 2026-11-20T22:00:00.000Z
  const auto opening = next_opening();
  if (!opening) return {};
  return std::string(forwarder_.options().alarms_always ? "readings wait" : "waiting") + " until " +
         format_utc(*opening).substr(kHourAt, 5) + " UTC";
}

}  // namespace tidegate::daemon
