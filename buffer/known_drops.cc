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

std::vector<SequenceRange> KnownDrops::all(Stream stream) {
  if (stream == Stream::events) return {};
  return joined(stream, recorded());
}

std::vector<SequenceRange> KnownDrops::newest(Stream stream) {
  if (recorded_ || stream == Stream::events) return all(stream);
  const auto gaps = read_recorded_gaps(files_, events_, newest_);
  return joined(stream, gaps.value_or(std::vector<RecordedGap>{}));
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
