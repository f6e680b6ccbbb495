#pragma once

#include <array>
#include <cstdint>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>

#include "core/error.h"
#include "core/time.h"

namespace tidegate {

/// How far the wall clock can be believed: `unsynced` was certainly never set in this boot, `estimated` may be right
/// but has no reference now, `synced` is kept by a time source (adjtimex without STA_UNSYNC).
enum class ClockQuality : std::uint8_t { unsynced, estimated, synced };

using BootId = std::array<std::uint8_t, 16>;

/// The only way to the time. Implementations: SystemClock here, ManualClock in tests/support. Any thread may call it.
class Clock {
 public:
  virtual ~Clock() = default;
  virtual WallTime wall_now() const = 0;
  virtual BootTime boot_now() const = 0;
  virtual ClockQuality quality() const = 0;
};

/// Of the kernel. The quality is asked of it ten times a second at most, and at once when the wall clock was set:
/// adjtimex costs more than all else that is done for a reading.
class SystemClock final : public Clock {
 public:
  WallTime wall_now() const override;
  BootTime boot_now() const override;
  ClockQuality quality() const override;

 private:
  struct Answer {
    ClockQuality quality = ClockQuality::unsynced;
    BootTime asked{};
    Duration wall_less_boot{};
  };
  mutable std::mutex mutex_;
  mutable std::optional<Answer> last_;
};

/// Wall time less boot time. Changes only when the clock is set, but for what passes between the two readings.
Duration wall_less_boot(const Clock& clock);

/// The kernel's id of this boot (/proc/sys/kernel/random/boot_id).
Result<BootId> read_boot_id();

/// "unsynced", "estimated", "synced".
const char* to_string(ClockQuality quality);

/// 32 hexadecimal digits, and back; nothing for what is not that.
std::string to_hex(const BootId& id);
std::optional<BootId> parse_boot_id(std::string_view digits);

/// "2026-11-21T05:07:00.123Z"; UTC, milliseconds.
std::string format_utc(WallTime time);

/// Reads what format_utc writes, and the other RFC 3339 forms (offsets, any number of fractional digits).
Result<WallTime> parse_rfc3339(std::string_view text);

}  // namespace tidegate
