#pragma once

#include <atomic>
#include <cstdint>

namespace tidegate::testing {

/// What clock_shim.cc shows a process as its wall clock; a file of this, mapped by the process and by its test.
struct ShownClock {
  std::atomic<std::int64_t> ahead_ms{0};  // of this machine's clock
  std::atomic<std::int32_t> is_synced{0};
};

/// The environment variable that names the file.
inline constexpr const char* kShownClockVariable = "TIDEGATE_SHOWN_CLOCK";

}  // namespace tidegate::testing
