#include "core/clock.h"

#include <time.h>

#include <spdlog/fmt/fmt.h>

#include <array>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <string>
#include <string_view>

#include "core/clock_state.h"
#include "core/parse_whole.h"
#include "core/text.h"

namespace tidegate {
namespace {

Duration read_clock(clockid_t id) {
  timespec now{};
  clock_gettime(id, &now);
  return std::chrono::seconds(now.tv_sec) + std::chrono::nanoseconds(now.tv_nsec);
}

// Before it was built nobody ran this program: a clock that shows less was never set.
constexpr WallTime kBuilt{std::chrono::seconds(TIDEGATE_BUILT_SECONDS)};

// Days since 1970-01-01 of a civil date, proleptic Gregorian; and back.
constexpr std::int64_t days_from_civil(int year, unsigned month, unsigned day) {
  return std::chrono::sys_days(std::chrono::year(year) / std::chrono::month(month) / std::chrono::day(day))
      .time_since_epoch()
      .count();
}

constexpr Duration kQualityKept = std::chrono::milliseconds(100);
// More than a time source that slews the clock moves it in that time (500 ppm), or a reader that is interrupted sees.
constexpr Duration kClockSet = std::chrono::milliseconds(1);

std::string from_environment(const char* name) {
  const char* const text = std::getenv(name);
  return text == nullptr ? std::string() : std::string(text);
}

// The service may not ask the kernel, and its unit names the file that has the answer.
ClockQuality ask_quality(BootTime now, Duration wall_less_boot) {
  static const std::string told = from_environment("TIDEGATE_CLOCK_STATE");
  return told.empty() ? kernel_clock_quality() : told_clock_quality(told, now, wall_less_boot);
}

// A cursor over the text of a time; every take_* says whether it fitted.
class TimeText {
 public:
  explicit TimeText(std::string_view text) : rest_(text) {}

  bool take_digits(std::size_t count, int& number) {
    if (rest_.size() < count) return false;
    const auto digits = parse_whole<unsigned>(rest_.substr(0, count));
    if (!digits) return false;
    number = static_cast<int>(*digits);
    rest_.remove_prefix(count);
    return true;
  }
  bool take(std::string_view any_of) {
    if (rest_.empty() || any_of.find(rest_.front()) == std::string_view::npos) return false;
    taken_ = rest_.front();
    rest_.remove_prefix(1);
    return true;
  }
  /// Digits behind a decimal point, as nanoseconds; those beyond nine are dropped.
  bool take_fraction(std::int64_t& nanoseconds) {
    std::int64_t unit = 100'000'000;
    bool any = false;
    while (!rest_.empty() && rest_.front() >= '0' && rest_.front() <= '9') {
      nanoseconds += unit * (rest_.front() - '0');
      unit /= 10;
      rest_.remove_prefix(1);
      any = true;
    }
    return any;
  }
  char taken() const { return taken_; }
  bool at_end() const { return rest_.empty(); }

 private:
  std::string_view rest_;
  char taken_ = 0;
};

struct CivilTime {
  int year = 0, month = 0, day = 0, hour = 0, minute = 0, second = 0;
  std::int64_t nanoseconds = 0;
  int offset_minutes = 0;

  bool is_valid() const {
    const auto date = std::chrono::year(year) / std::chrono::month(static_cast<unsigned>(month)) /
                      std::chrono::day(static_cast<unsigned>(day));
    // Nanoseconds since 1970 in 64 bits reach from 1678 to 2261.
    return date.ok() && year >= 1678 && year <= 2261 && hour < 24 && minute < 60 && second <= 60;
  }
  WallTime to_wall() const {
    const std::int64_t days = days_from_civil(year, static_cast<unsigned>(month), static_cast<unsigned>(day));
    const std::int64_t seconds = days * 86'400 + hour * 3'600 + (minute - offset_minutes) * 60 + second;
    return WallTime(std::chrono::seconds(seconds) + std::chrono::nanoseconds(nanoseconds));
  }
};

bool take_offset(TimeText& text, CivilTime& time) {
  if (text.take("Zz")) return true;
  if (!text.take("+-")) return false;
  const int sign = text.taken() == '-' ? -1 : 1;
  int hours = 0;
  int minutes = 0;
  if (!text.take_digits(2, hours) || !text.take(":") || !text.take_digits(2, minutes)) return false;
  time.offset_minutes = sign * (hours * 60 + minutes);
  return hours < 24 && minutes < 60;
}

bool take_civil(TimeText& text, CivilTime& time) {
  if (!text.take_digits(4, time.year) || !text.take("-") || !text.take_digits(2, time.month) || !text.take("-") ||
      !text.take_digits(2, time.day) || !text.take("Tt ") || !text.take_digits(2, time.hour) || !text.take(":") ||
      !text.take_digits(2, time.minute) || !text.take(":") || !text.take_digits(2, time.second)) {
    return false;
  }
  if (text.take(".,") && !text.take_fraction(time.nanoseconds)) return false;
  return take_offset(text, time) && text.at_end();
}

}  // namespace

WallTime SystemClock::wall_now() const { return WallTime(read_clock(CLOCK_REALTIME)); }
BootTime SystemClock::boot_now() const { return BootTime(read_clock(CLOCK_BOOTTIME)); }

ClockQuality SystemClock::quality() const {
  const Duration offset = wall_less_boot(*this);
  const BootTime now = boot_now();
  if (WallTime(now.time_since_epoch() + offset) < kBuilt) return ClockQuality::unsynced;
  const std::lock_guard lock(mutex_);
  const bool is_known =
      last_ && now - last_->asked < kQualityKept && std::chrono::abs(offset - last_->wall_less_boot) < kClockSet;
  if (!is_known) last_ = {ask_quality(now, offset), now, offset};
  return last_->quality;
}

Duration wall_less_boot(const Clock& clock) {
  // In this order: what passes between makes the wall clock look later, not earlier than it is.
  const BootTime boot = clock.boot_now();
  return clock.wall_now().time_since_epoch() - boot.time_since_epoch();
}

Result<BootId> read_boot_id() {
  std::ifstream file("/proc/sys/kernel/random/boot_id");
  std::string text;
  // The service sees nothing of /proc but processes; its unit says it instead.
  if (!(file >> text)) text = from_environment("TIDEGATE_BOOT_ID");
  std::erase(text, '-');
  const auto id = parse_boot_id(text);
  if (id) return *id;
  return fail(ErrorCode::invalid, "/proc/sys/kernel/random/boot_id: expected a UUID, found \"" + clip(text) + "\"");
}

std::string to_hex(const BootId& id) {
  std::string digits;
  for (const std::uint8_t byte : id) digits += fmt::format("{:02x}", byte);
  return digits;
}

std::optional<BootId> parse_boot_id(std::string_view digits) {
  BootId id{};
  if (digits.size() != id.size() * 2) return std::nullopt;
  for (std::size_t i = 0; i < id.size(); ++i) {
    const auto byte = parse_whole<std::uint8_t>(digits.substr(2 * i, 2), 16);
    if (!byte) return std::nullopt;
    id[i] = *byte;
  }
  return id;
}

const char* to_string(ClockQuality quality) {
  switch (quality) {
    case ClockQuality::unsynced:
      return "unsynced";
    case ClockQuality::estimated:
      return "estimated";
    case ClockQuality::synced:
      return "synced";
  }
  return "unsynced";
}

std::string format_utc(WallTime time) {
  const auto since_epoch = std::chrono::floor<std::chrono::milliseconds>(time.time_since_epoch());
  const std::chrono::sys_time<std::chrono::milliseconds> civil(since_epoch);
  const auto days = std::chrono::floor<std::chrono::days>(civil);
  const std::chrono::year_month_day date(days);
  const std::chrono::hh_mm_ss clock(civil - days);
  std::array<char, 64> text{};
  const int length =
      std::snprintf(text.data(), text.size(), "%04d-%02u-%02uT%02d:%02d:%02d.%03dZ", static_cast<int>(date.year()),
                    static_cast<unsigned>(date.month()), static_cast<unsigned>(date.day()),
                    static_cast<int>(clock.hours().count()), static_cast<int>(clock.minutes().count()),
                    static_cast<int>(clock.seconds().count()), static_cast<int>(clock.subseconds().count()));
  return {text.data(), static_cast<std::size_t>(length)};
}

Result<WallTime> parse_rfc3339(std::string_view text) {
  TimeText rest(text);
  CivilTime time;
  if (!take_civil(rest, time) || !time.is_valid()) {
    return fail(ErrorCode::invalid,
                fmt::format("\"{}\" is not a time such as 2026-11-21T05:07:00.123Z or ...+01:00", clip(text, 40)));
  }
  return time.to_wall();
}

}  // namespace tidegate
