#include "core/clock_state.h"

#include <fcntl.h>
#include <spdlog/fmt/fmt.h>
#include <sys/timex.h>
#include <unistd.h>

#include <array>

#include "core/descriptor.h"
#include "core/parse_whole.h"
#include "core/text.h"

namespace tidegate {
namespace {

constexpr std::size_t kLineBytes = 64;
// tidegate-clock writes twice a second: after so many times without a word nobody knows any more.
constexpr Duration kBelieved = std::chrono::seconds(5);
// More than a time source that slews the clock moves it between two lines (500 ppm), or a reader that is interrupted
// sees.
constexpr Duration kClockSet = std::chrono::milliseconds(1);

std::optional<Duration> parse_nanoseconds(std::string_view text) {
  const auto count = parse_whole<std::int64_t>(text);
  if (!count) return std::nullopt;
  return Duration(*count);
}

}  // namespace

ClockQuality kernel_clock_quality() {
  timex state{};
  const int result = adjtimex(&state);
  const bool is_kept = result >= 0 && result != TIME_ERROR && (state.status & STA_UNSYNC) == 0;
  return is_kept ? ClockQuality::synced : ClockQuality::estimated;
}

std::string format_clock_state(const ClockState& state) {
  const std::string words = fmt::format("{} {} {}", to_string(state.quality), state.asked.time_since_epoch().count(),
                                        state.wall_less_boot.count());
  return fmt::format("{:<{}}\n", words, kLineBytes - 1);
}

std::optional<ClockState> parse_clock_state(std::string_view line) {
  if (line.size() != kLineBytes || line.back() != '\n') return std::nullopt;
  const std::size_t end = line.find_last_not_of(" \n");
  if (end == std::string_view::npos) return std::nullopt;
  const auto words = split(line.substr(0, end + 1), ' ');
  if (words.size() != 3 || (words[0] != "synced" && words[0] != "estimated")) return std::nullopt;
  const auto asked = parse_nanoseconds(words[1]);
  const auto offset = parse_nanoseconds(words[2]);
  if (!asked || !offset) return std::nullopt;
  const ClockQuality quality = words[0] == "synced" ? ClockQuality::synced : ClockQuality::estimated;
  return ClockState{quality, BootTime(*asked), *offset};
}

ClockQuality told_clock_quality(const std::string& path, BootTime now, Duration wall_less_boot) {
  const Descriptor file(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK));
  if (!file.is_open()) return ClockQuality::estimated;
  std::array<char, kLineBytes + 1> bytes{};
  const ssize_t got = ::read(file.get(), bytes.data(), bytes.size());
  const auto told = parse_clock_state({bytes.data(), got > 0 ? static_cast<std::size_t>(got) : 0});
  // It may have been asked after `now` was read.
  const bool counts = told && std::chrono::abs(now - told->asked) < kBelieved &&
                      std::chrono::abs(wall_less_boot - told->wall_less_boot) < kClockSet;
  return counts ? told->quality : ClockQuality::estimated;
}

}  // namespace tidegate
