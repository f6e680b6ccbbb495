#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/error.h"
#include "core/time.h"

namespace tidegate::daemon {

/// What `tidegate top` shows: the newest answer of GET /api/v1/status, and what became of its counters since earlier
/// ones, over the last kRateWindow. Passive: neither a terminal nor the network.
class TopScreen {
 public:
  static constexpr Duration kRateWindow = std::chrono::seconds(10);

  enum class Emphasis : std::uint8_t { none, heading, trouble };
  struct Line {
    std::string text;  // UTF-8 without control characters
    Emphasis emphasis = Emphasis::none;
  };

  /// Takes an answer that came at `now`. Error `corrupt`: it is none; then the one before stays.
  Result<void> note(const std::string& status_json, BootTime now);
  /// So many lines at most, each of so many characters at most; the last one says how many had no room. 0: no limit.
  /// `problem` stands above all, where there is one.
  std::vector<Line> lines(std::size_t rows, std::size_t columns, const std::string& problem = {}) const;

 private:
  struct Sample {
    BootTime taken;
    double uptime_seconds = 0;
    std::map<std::string, std::uint64_t, std::less<>> counters;
  };

  /// How a counter changed a second; nothing while that is not known.
  std::optional<double> change_of(std::string_view counter) const;

  std::string status_;
  std::deque<Sample> samples_;  // oldest first, all of one run of the daemon
};

}  // namespace tidegate::daemon
