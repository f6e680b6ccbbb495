#include "daemon/start_marks.h"

#include <algorithm>
#include <random>
#include <string>
#include <utility>

#include "core/clock.h"

namespace tidegate::daemon {
namespace {

// Among the counters, because that is what they are kept like; a start takes the place of the one this many before.
constexpr std::uint32_t kStartsKept = 32;

std::string place_of(std::uint32_t number, const char* what) {
  return "start/" + std::to_string(number % kStartsKept) + "/" + what;
}

}  // namespace

StartMarks begin_start(const buffer::Checkpoint& saved, buffer::Checkpoint& opened, const StartMarks::Ends& ends,
                       bool is_new_log) {
  using Kept = std::pair<std::uint64_t, StartMarks::Ends>;
  std::vector<Kept> starts;
  const auto kept = [&](std::uint32_t number, const char* what) {
    const auto found = saved.counters.find(place_of(number, what));
    return found == saved.counters.end() ? 0 : found->second;
  };
  for (std::uint32_t number = 0; number < kStartsKept && saved.log.log_id == opened.log.log_id; ++number) {
    Kept start{kept(number, "mark"), {}};
    for (const Stream stream : kAllStreams) {
      start.second[static_cast<std::size_t>(stream)] = kept(number, to_string(stream));
    }
    if (start.first != 0) starts.push_back(start);
  }
  std::sort(starts.begin(), starts.end());
  const bool is_unknown = starts.empty() && !is_new_log;
  const std::uint32_t number = starts.empty() ? 1 : uplink::number_of_start(starts.back().first) + 1;
  if (starts.size() == kStartsKept) starts.erase(starts.begin());
  starts.emplace_back((std::uint64_t{number} << 32U) | std::random_device()(), ends);

  for (std::uint32_t place = 0; place < kStartsKept; ++place) opened.counters[place_of(place, "mark")] = 0;
  StartMarks marks{{to_hex(opened.log.log_id), {}}, {}};
  for (const auto& [mark, began] : starts) {
    const std::uint32_t of = uplink::number_of_start(mark);
    opened.counters[place_of(of, "mark")] = mark;
    for (const Stream stream : kAllStreams) {
      opened.counters[place_of(of, to_string(stream))] = began[static_cast<std::size_t>(stream)];
    }
    if (is_unknown) continue;
    marks.history.starts.push_back(mark);
    marks.ends.push_back(began);
  }
  return marks;
}

}  // namespace tidegate::daemon
