#pragma once

#include <spdlog/fmt/fmt.h>

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>

#include "core/error.h"
#include "core/time.h"

namespace tidegate {

enum class LogLevel : std::uint8_t { debug, info, warning, error };

/// Whether standard error is the journal: what JOURNAL_STREAM names (systemd.exec(5)), which is inherited also by who
/// writes elsewhere.
bool stderr_is_journal();
/// "<N>", the priority that a line to the journal begins with; "" when standard error is something else.
std::string journal_prefix(LogLevel level);

/// Sets up spdlog on standard error: with time stamps on a terminal or a pipe, with "<N>" priorities and no time
/// stamps when standard error is the journal. Lines that nobody reads are left out rather than waited with. Call once,
/// before threads start.
void set_up_logging(LogLevel least);
Result<LogLevel> parse_log_level(std::string_view name);

/// One line: `part: text`. Control characters in text are escaped, so that no payload can forge a line. Any thread.
void log_line(LogLevel level, std::string_view part, std::string_view text);

template <class... Args>
void log_debug(std::string_view part, fmt::format_string<Args...> format, Args&&... args) {
  log_line(LogLevel::debug, part, fmt::format(format, std::forward<Args>(args)...));
}
template <class... Args>
void log_info(std::string_view part, fmt::format_string<Args...> format, Args&&... args) {
  log_line(LogLevel::info, part, fmt::format(format, std::forward<Args>(args)...));
}
template <class... Args>
void log_warning(std::string_view part, fmt::format_string<Args...> format, Args&&... args) {
  log_line(LogLevel::warning, part, fmt::format(format, std::forward<Args>(args)...));
}
template <class... Args>
void log_error(std::string_view part, fmt::format_string<Args...> format, Args&&... args) {
  log_line(LogLevel::error, part, fmt::format(format, std::forward<Args>(args)...));
}

/// Decides which repeats of a complaint are worth a line: the first of each kind at once, then at most one a minute,
/// which says how many were left out. One thread.
class ComplaintFilter {
 public:
  /// How many of this kind were left out since the last line, when this one should be logged; nothing otherwise.
  std::optional<std::uint64_t> admit(std::string_view kind, BootTime now);

 private:
  struct Kind {
    BootTime last{};
    std::uint64_t left_out = 0;
  };
  std::unordered_map<std::string, Kind> kinds_;  // at most kKindsMax
};

/// What such a line ends in: " (12 more like this since the last line)", or nothing when none was left out.
std::string since_last_line(std::uint64_t left_out);

}  // namespace tidegate
