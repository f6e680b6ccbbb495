#include "buffer/known_drops.h"

#include <algorithm>

namespace tidegate::buffer {
namespace {

void sort_ranges(std::vector<SequenceRange>& ranges) {
  std::sort(ranges.begin(), ranges.end(), [](const auto& a, const auto& b) { return a.first < b.first; });
}

}  // namespace

void KnownDrops::set_events(LogSnapshot events, Position newest) {
  events_ = std::move(events);
  newest_ = newest;
}

// Where `events` cannot be read now, what was dropped counts as damaged: that is said too often rather than not at all.
const std::vector<RecordedGap>& KnownDrops::recorded() {
  if (!recorded_) recorded_ = read_recorded_gaps(files_, events_, {}).value_or(std::vector<RecordedGap>{});
  return *recorded_;
}

std::vector<SequenceRange> KnownDrops::joined(Stream stream, const std::vector<RecordedGap>& gaps) const {
  std::vector<SequenceRange> ranges;
  for (const RecordedGap& gap : gaps) {
    if (gap.is_drop() && gap.stream == stream) ranges.push_back(gap.range);
  }
  for (const DroppedRange& range : saved_) {
    if (range.stream == stream) ranges.push_back({range.first, range.last + 1});
  }
  sort_ranges(ranges);
  return ranges;
}

std::vector<RecordedGap> KnownDrops::recorded(Stream stream) {
  if (stream == Stream::events) return {};
  std::vector<RecordedGap> gaps = recorded();
  std::erase_if(gaps, [&](const RecordedGap& gap) { return gap.stream != stream; });
  return gaps;
}

std::vector<SequenceRange> KnownDrops::all(Stream stream) {
  if (stream == Stream::events) return {};
  return joined(stream, recorded());
}

std::vector<SequenceRange> KnownDrops::told(Stream stream) {
  std::vector<SequenceRange> ranges = joined(stream, {});
  for (const RecordedGap& gap : recorded(stream)) ranges.push_back(gap.range);
  sort_ranges(ranges);
  return ranges;
}

std::vector<SequenceRange> KnownDrops::newest(Stream stream) {
  if (recorded_ || stream == Stream::events) return all(stream);
  return joined(stream, newest_recorded());
}

const std::vector<RecordedGap>& KnownDrops::newest_recorded() {
  if (!newest_recorded_) {
    newest_recorded_ = read_recorded_gaps(files_, events_, newest_).value_or(std::vector<RecordedGap>{});
  }
  return *newest_recorded_;
}

std::vector<Loss> KnownDrops::newly_recorded(Stream stream) {
  std::vector<Loss> found;
  if (stream == Stream::events) return found;
  for (const RecordedGap& gap : newest_recorded()) {
    if (gap.is_drop() && gap.stream == stream) found.push_back({gap.range, "drop-newest", gap.from, gap.to});
  }
  return found;
}

std::vector<Loss> KnownDrops::unrecorded(Stream stream) {
  std::vector<Loss> left;
  for (const DroppedRange& range : saved_) {
    if (range.stream != stream) continue;
    std::vector<SequenceRange> known;
    for (const RecordedGap& gap : recorded()) {
      if (gap.is_drop() && gap.stream == stream && gap.epoch == range.epoch) known.push_back(gap.range);
    }
    sort_ranges(known);
    for (const SequenceRange& part : without({range.first, range.last + 1}, known)) {
      left.push_back({part, "drop-newest", range.from, range.to});
    }
  }
  std::sort(left.begin(), left.end(), [](const Loss& a, const Loss& b) { return a.range.first < b.range.first; });
  return left;
}

}  // namespace tidegate::buffer
