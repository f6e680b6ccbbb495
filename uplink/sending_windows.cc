#include "uplink/sending_windows.h"

#include <algorithm>
#include <string>

#include "core/parse_whole.h"
#include "core/text.h"

namespace tidegate::uplink {
namespace {

constexpr std::chrono::minutes kDay = std::chrono::hours(24);
constexpr std::chrono::minutes kNoTime{-1};

// "06:00", or kNoTime: an optional in its place is one that GCC 12 takes for uninitialised under -fsanitize=thread.
std::chrono::minutes parse_time(std::string_view text) {
  if (text.size() != 5 || text[2] != ':') return kNoTime;
  const auto hours = parse_whole<unsigned>(text.substr(0, 2));
  const auto minutes = parse_whole<unsigned>(text.substr(3));
  if (!hours || !minutes || *minutes > 59) return kNoTime;
  const auto time = std::chrono::minutes(*hours * 60 + *minutes);
  return time <= kDay ? time : kNoTime;
}

WallTime next_opening(const SendingWindow& window, WallTime now) {
  const auto day = std::chrono::floor<std::chrono::days>(now);
  const auto time = now - day;
  const bool is_over_midnight = window.end <= window.begin;
  const bool is_open =
      is_over_midnight ? time >= window.begin || time < window.end : time >= window.begin && time < window.end;
  if (is_open) return now;
  return WallTime(day) + window.begin + (time < window.begin ? std::chrono::minutes(0) : kDay);
}

}  // namespace

Result<SendingWindow> parse_sending_window(std::string_view text) {
  const std::size_t dash = text.find('-');
  const auto begin = parse_time(text.substr(0, dash));
  const auto end = dash == std::string_view::npos ? kNoTime : parse_time(text.substr(dash + 1));
  if (begin != kNoTime && begin == end) {
    return fail(ErrorCode::invalid,
                "begins and ends at the same time; for the whole day \"00:00-24:00\", found \"" + clip(text) + "\"");
  }
  if (begin == kNoTime || end == kNoTime || begin == kDay) {
    return fail(ErrorCode::invalid, "must be parts of a day in UTC as \"22:00-06:00\", found \"" + clip(text) + "\"");
  }
  return SendingWindow{begin, end};
}

WallTime next_opening(const std::vector<SendingWindow>& windows, WallTime now) {
  if (windows.empty()) return now;
  WallTime first = WallTime::max();
  for (const SendingWindow& window : windows) first = std::min(first, next_opening(window, now));
  return first;
}

}  // namespace tidegate::uplink
