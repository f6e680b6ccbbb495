#include "daemon/top_screen.h"

#include <simdjson.h>
#include <spdlog/fmt/fmt.h>
#include <spdlog/fmt/ranges.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <optional>
#include <utility>

#include "core/counted.h"
#include "core/text.h"
#include "daemon/json_members.h"
#include "daemon/status_verdict.h"

namespace tidegate::daemon {
namespace {

using json::count_of;
using json::each_element;
using json::each_member;
using json::flag_of;
using json::seconds_of;
using json::text_of;
using simdjson::dom::element;
using Emphasis = TopScreen::Emphasis;
using Line = TopScreen::Line;

constexpr std::size_t kNoteBytesMost = 500;
constexpr double kMinute = 60;
constexpr double kHour = 60 * kMinute;
constexpr double kDay = 24 * kHour;

// "3.2 s", "12 min", "5 h 03 min", "8 d 4 h".
std::string span_text(double seconds) {
  if (seconds < kMinute) return fmt::format("{:.1f} s", seconds);
  if (seconds < kHour) return fmt::format("{:.0f} min", std::floor(seconds / kMinute));
  if (seconds < kDay) {
    return fmt::format("{:.0f} h {:02.0f} min", std::floor(seconds / kHour),
                       std::floor(std::fmod(seconds, kHour) / kMinute));
  }
  return fmt::format("{:.0f} d {:.0f} h", std::floor(seconds / kDay), std::floor(std::fmod(seconds, kDay) / kHour));
}

// A counter that went back is of a part that was made anew.
std::string rate_text(std::optional<double> change) {
  return change && *change >= 0 ? fmt::format("{:.1f}", *change) : "-";
}

std::string size_text(double bytes) {
  constexpr double kStep = 1024;
  for (const char* const unit : {"B", "KiB", "MiB"}) {
    if (bytes < kStep) return fmt::format("{:.1f} {}", bytes, unit);
    bytes /= kStep;
  }
  return fmt::format("{:.1f} GiB", bytes);
}

std::string note_text(std::string_view text) { return clip(text, kNoteBytesMost); }

// So many characters of it; one that is cut ends in "...". Wide characters count as one.
std::string cut(const std::string& text, std::size_t columns) {
  if (columns == 0) return text;
  const auto begins_character = [](char byte) { return (static_cast<unsigned char>(byte) & 0xc0U) != 0x80U; };
  if (static_cast<std::size_t>(std::count_if(text.begin(), text.end(), begins_character)) <= columns) return text;
  constexpr std::size_t kDots = 3;
  const std::size_t kept = columns > kDots ? columns - kDots : 0;
  std::size_t characters = 0;
  const auto end =
      std::find_if(text.begin(), text.end(), [&](char byte) { return begins_character(byte) && ++characters > kept; });
  return std::string(text.begin(), end) + std::string(std::min(columns, kDots), '.');
}

std::string counter_of(std::string_view kind, std::string_view name) { return fmt::format("{} {}", kind, name); }

template <class Count>
void count_all(const element& status, Count&& count) {
  each_element(status, "drivers", [&](const element& driver) {
    count(counter_of("driver", text_of(driver, "name")), count_of(driver, "accepted"));
  });
  each_element(status, "uplinks", [&](const element& uplink) {
    each_member(uplink, "streams", [&](std::string_view, const element& stream) {
      count(counter_of("uplink", text_of(uplink, "name")), count_of(stream, "delivered"));
      count(counter_of("pending", text_of(uplink, "name")), count_of(stream, "pending"));
    });
  });
  element log;
  if (status["log"].get(log) != simdjson::SUCCESS) return;
  count("written", count_of(log, "written_bytes"));
  count("syncs", count_of(log, "syncs"));
}

/// An answer, and how its counters change.
struct View {
  const element& status;
  std::function<std::optional<double>(std::string_view counter)> change;
};

void put_gateway(std::vector<Line>& out, const View& view) {
  const element& status = view.status;
  const bool is_ready = flag_of(status, "ready");
  out.push_back({fmt::format("tidegate {} ({})  {}  up {}  clock {}  {}", note_text(text_of(status, "gateway")),
                             note_text(text_of(status, "version")), is_ready ? "ready" : "NOT READY",
                             span_text(seconds_of(status, "uptime_seconds")), note_text(text_of(status, "clock")),
                             counted(count_of(status, "tags"), "tag")),
                 is_ready ? Emphasis::none : Emphasis::trouble});
  const Verdict verdict = verdict_of(status);
  out.push_back({note_text(verdict.text), verdict.is_well ? Emphasis::none : Emphasis::trouble});
  const std::uint64_t raised = count_of(status, "alarms_active");
  out.push_back({fmt::format("alarms {} raised, {} not acknowledged, {} shelved", raised,
                             count_of(status, "alarms_unacknowledged"), count_of(status, "alarms_shelved")),
                 raised > 0 ? Emphasis::trouble : Emphasis::none});
  if (const auto idle = idle_rules_of(status); !idle.empty()) {
    out.push_back({note_text(fmt::format("rules that match no tag so far: {}", fmt::join(idle, ", ")))});
  }
  if (const auto waiting = restart_needed_for(status); !waiting.empty()) {
    out.push_back({note_text(fmt::format("changed, and waits for a restart: {}", fmt::join(waiting, ", ")))});
  }
}

// A line of its own: what is to be done has no room beside the figures.
void put_note(std::vector<Line>& out, std::string_view note, Emphasis emphasis) {
  if (!note.empty()) out.push_back({"  " + note_text(note), emphasis});
}

// Of devices those that do not answer: there may be hundreds.
void put_drivers(std::vector<Line>& out, const View& view) {
  constexpr const char* kRow = "{:<20} {:<6} {:>10} {:>16}";
  out.push_back({fmt::format(kRow, "DRIVER", "STATE", "IN/S", "ACCEPTED"), Emphasis::heading});
  each_element(view.status, "drivers", [&](const element& driver) {
    const std::string_view name = text_of(driver, "name");
    const bool is_up = flag_of(driver, "up");
    const Emphasis emphasis = is_up ? Emphasis::none : Emphasis::trouble;
    out.push_back({fmt::format(kRow, note_text(name), is_up ? "up" : "DOWN",
                               rate_text(view.change(counter_of("driver", name))), count_of(driver, "accepted")),
                   emphasis});
    put_note(out, text_of(driver, "detail"), emphasis);
    each_element(driver, "devices", [&](const element& device) {
      if (flag_of(device, "up")) return;
      out.push_back({fmt::format("  {:<18} DOWN", note_text(text_of(device, "name"))), Emphasis::trouble});
      put_note(out, text_of(device, "detail"), Emphasis::trouble);
    });
  });
}

std::uint64_t pending_of(const element& uplink) {
  std::uint64_t pending = 0;
  each_member(uplink, "streams",
              [&](std::string_view, const element& stream) { pending += count_of(stream, "pending"); });
  return pending;
}

std::string empty_in(std::uint64_t pending, std::optional<double> change) {
  if (pending == 0) return "";
  return change && *change < 0 ? span_text(static_cast<double>(pending) / -*change) : "-";
}

std::string uplink_note(const element& uplink) {
  std::string note;
  for (const char* const what : {"detail", "refused", "waiting"}) {
    if (note.empty()) note = note_text(text_of(uplink, what));
  }
  const std::uint64_t letters = count_of(uplink, "dead_letters");
  if (letters > 0) note += (note.empty() ? "" : "; ") + counted(letters, "dead letter");
  return note;
}

void put_uplinks(std::vector<Line>& out, const View& view) {
  constexpr const char* kRow = "{:<20} {:<6} {:>10} {:>13} {:>12} {:>12}";
  out.push_back({fmt::format(kRow, "UPLINK", "STATE", "OUT/S", "PENDING", "OLDEST", "EMPTY IN"), Emphasis::heading});
  each_element(view.status, "uplinks", [&](const element& uplink) {
    const std::string_view name = text_of(uplink, "name");
    const bool is_up = flag_of(uplink, "up");
    const Emphasis emphasis = is_up && text_of(uplink, "refused").empty() ? Emphasis::none : Emphasis::trouble;
    const std::uint64_t pending = pending_of(uplink);
    out.push_back(
        {fmt::format(kRow, note_text(name), is_up ? "up" : "DOWN", rate_text(view.change(counter_of("uplink", name))),
                     pending, span_text(seconds_of(uplink, "delay_seconds")),
                     empty_in(pending, view.change(counter_of("pending", name)))),
         emphasis});
    put_note(out, uplink_note(uplink), emphasis);
  });
}

void put_streams(std::vector<Line>& out, const element& log) {
  constexpr const char* kRow = "{:<20} {:>16} {:>12} {:>8} {:>14}";
  constexpr double kPercent = 100;
  out.push_back({fmt::format(kRow, "LOG", "STORED", "SIZE", "WAITS", "FULL IN"), Emphasis::heading});
  each_member(log, "streams", [&](std::string_view name, const element& stream) {
    const double left = seconds_of(stream, "seconds_left");
    const bool is_full = flag_of(stream, "full");
    out.push_back({fmt::format(kRow, note_text(name), count_of(stream, "stored"),
                               size_text(static_cast<double>(count_of(stream, "bytes"))),
                               fmt::format("{:.0f} %", kPercent * seconds_of(stream, "fill")),
                               is_full    ? "FULL"
                               : left > 0 ? span_text(left)
                                          : ""),
                   is_full ? Emphasis::trouble : Emphasis::none});
  });
}

void put_log(std::vector<Line>& out, const View& view) {
  element log;
  if (view.status["log"].get(log) != simdjson::SUCCESS) return;
  put_streams(out, log);
  const auto written = view.change("written");
  constexpr double kMilliseconds = 1000;
  out.push_back({fmt::format("to disk {}/s, {} syncs/s, the last took {:.1f} ms", written ? size_text(*written) : "-",
                             rate_text(view.change("syncs")), seconds_of(log, "last_sync_seconds") * kMilliseconds)});
  for (const char* const what : {"storage_problem", "detail", "state_failure"}) {
    if (const auto problem = text_of(log, what); !problem.empty()) {
      out.push_back({note_text(problem), Emphasis::trouble});
    }
  }
}

}  // namespace

Result<void> TopScreen::note(const std::string& status_json, BootTime now) {
  simdjson::dom::parser parser;
  element status;
  if (const auto problem = parser.parse(status_json).get(status); problem != simdjson::SUCCESS || !status.is_object()) {
    return fail(ErrorCode::corrupt, "the daemon's status is not what this version understands");
  }
  Sample sample{now, seconds_of(status, "uptime_seconds"), {}};
  count_all(status, [&](std::string counter, std::uint64_t count) { sample.counters[std::move(counter)] += count; });
  // Counters of another run say nothing of this one.
  if (!samples_.empty() && sample.uptime_seconds < samples_.back().uptime_seconds) samples_.clear();
  samples_.push_back(std::move(sample));
  while (samples_.size() > 2 && now - samples_[1].taken >= kRateWindow) samples_.pop_front();
  status_ = status_json;
  return {};
}

std::optional<double> TopScreen::change_of(std::string_view counter) const {
  if (samples_.size() < 2) return std::nullopt;
  const Sample& first = samples_.front();
  const Sample& last = samples_.back();
  const auto before = first.counters.find(counter);
  const auto after = last.counters.find(counter);
  const double seconds = std::chrono::duration<double>(last.taken - first.taken).count();
  if (before == first.counters.end() || after == last.counters.end() || seconds <= 0) return std::nullopt;
  return (static_cast<double>(after->second) - static_cast<double>(before->second)) / seconds;
}

std::vector<Line> TopScreen::lines(std::size_t rows, std::size_t columns, const std::string& problem) const {
  std::vector<Line> out;
  if (!problem.empty()) out.push_back({note_text(problem), Emphasis::trouble});
  simdjson::dom::parser parser;
  element status;
  if (parser.parse(status_).get(status) == simdjson::SUCCESS) {  // else nothing was noted yet
    const View view{status, [this](std::string_view counter) { return change_of(counter); }};
    put_gateway(out, view);
    for (const auto put : {put_drivers, put_uplinks, put_log}) {
      out.push_back({});
      put(out, view);
    }
  }
  if (rows > 0 && out.size() > rows) {
    const std::size_t left_out = out.size() - (rows - 1);
    out.resize(rows - 1);
    out.push_back({counted(left_out, "more line") + "; `tidegate status` prints all", Emphasis::heading});
  }
  for (Line& line : out) line.text = cut(line.text, columns);
  return out;
}

}  // namespace tidegate::daemon
