#include "core/log.h"

#include <spdlog/sinks/base_sink.h>
#include <spdlog/spdlog.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cstdlib>
#include <memory>

#include "core/patient_writer.h"
#include "core/text.h"

namespace tidegate {
namespace {

constexpr std::size_t kKindsMax = 1000;  // of complaints remembered; a hostile peer cannot make them more
constexpr Duration kRepeatPause = std::chrono::minutes(1);
constexpr std::size_t kLineBytesMax = 2000;

spdlog::level::level_enum to_spdlog(LogLevel level) {
  switch (level) {
    case LogLevel::debug:
      return spdlog::level::debug;
    case LogLevel::info:
      return spdlog::level::info;
    case LogLevel::warning:
      return spdlog::level::warn;
    case LogLevel::error:
      return spdlog::level::err;
  }
  return spdlog::level::info;
}

// syslog(3) priorities, which the journal reads from "<N>" at the beginning of a line.
char journal_priority(LogLevel level) {
  switch (level) {
    case LogLevel::debug:
      return '7';
    case LogLevel::info:
      return '6';
    case LogLevel::warning:
      return '4';
    case LogLevel::error:
      return '3';
  }
  return '6';
}

bool& priorities_wanted() {
  static bool wanted = false;
  return wanted;
}

std::string with_priority(LogLevel level, std::string_view text) {
  std::string line;
  if (priorities_wanted()) line = {'<', journal_priority(level), '>'};
  return line.append(text);
}

/// Standard error, for which nobody waits who has a line to write.
class StderrSink final : public spdlog::sinks::base_sink<std::mutex> {
 protected:
  void sink_it_(const spdlog::details::log_msg& message) override {
    if (!writer_.has_room()) return;
    if (const std::uint64_t missing = writer_.take_left_out(); missing > 0) {
      const std::string text = with_priority(
          LogLevel::warning, fmt::format("log: {} lines are missing here: nobody read standard error", missing));
      write({message.time, message.source, message.logger_name, spdlog::level::warn, text});
      if (!writer_.has_room()) return;
    }
    write(message);
  }
  void flush_() override {}

 private:
  void write(const spdlog::details::log_msg& message) {
    spdlog::memory_buf_t line;
    formatter_->format(message, line);
    writer_.write({line.data(), line.size()});
  }

  PatientWriter writer_{2};
};

}  // namespace

bool stderr_is_journal() {
  const char* const stream = std::getenv("JOURNAL_STREAM");
  struct stat status {};
  if (stream == nullptr || ::fstat(STDERR_FILENO, &status) != 0) return false;
  return fmt::format("{}:{}", status.st_dev, status.st_ino) == stream;
}

std::string journal_prefix(LogLevel level) {
  return stderr_is_journal() ? std::string{'<', journal_priority(level), '>'} : std::string();
}

void set_up_logging(LogLevel least) {
  priorities_wanted() = stderr_is_journal();
  auto logger = std::make_shared<spdlog::logger>("tidegate", std::make_shared<StderrSink>());
  logger->set_level(to_spdlog(least));
  logger->set_pattern(priorities_wanted() ? "%v" : "%Y-%m-%dT%H:%M:%S.%eZ %-7l %v", spdlog::pattern_time_type::utc);
  logger->flush_on(spdlog::level::debug);
  spdlog::set_default_logger(std::move(logger));
}

Result<LogLevel> parse_log_level(std::string_view name) {
  constexpr std::array<std::pair<std::string_view, LogLevel>, 4> kLevels{{{"debug", LogLevel::debug},
                                                                          {"info", LogLevel::info},
                                                                          {"warning", LogLevel::warning},
                                                                          {"error", LogLevel::error}}};
  for (const auto& [word, level] : kLevels) {
    if (word == name) return level;
  }
  return fail(ErrorCode::invalid, "log level \"" + clip(name) + "\": allowed are debug, info, warning, error");
}

void log_line(LogLevel level, std::string_view part, std::string_view text) {
  auto* logger = spdlog::default_logger_raw();
  if (!logger->should_log(to_spdlog(level))) return;
  std::string line = with_priority(level, part);
  line += ": ";
  line += clip(text, kLineBytesMax);
  logger->log(to_spdlog(level), std::string_view(line));
}

std::optional<std::uint64_t> ComplaintFilter::admit(std::string_view kind, BootTime now) {
  const auto found = kinds_.find(std::string(kind));
  if (found == kinds_.end()) {
    if (kinds_.size() >= kKindsMax) kinds_.clear();
    kinds_.emplace(kind, Kind{now, 0});
    return 0;
  }
  Kind& known = found->second;
  if (now - known.last < kRepeatPause) {
    ++known.left_out;
    return std::nullopt;
  }
  const std::uint64_t left_out = known.left_out;
  known = Kind{now, 0};
  return left_out;
}

std::string since_last_line(std::uint64_t left_out) {
  return left_out == 0 ? "" : fmt::format(" ({} more like this since the last line)", left_out);
}

}  // namespace tidegate
