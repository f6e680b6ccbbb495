#include "buffer/epoch_table.h"

#include <algorithm>

namespace tidegate::buffer {
namespace {

constexpr std::ptrdiff_t kOldEpochsKept = 64;

}  // namespace

void EpochTable::add(std::uint32_t epoch, std::uint64_t first) {
  auto place = std::lower_bound(starts_.begin(), starts_.end(), epoch,
                                [](const EpochStart& start, std::uint32_t wanted) { return start.epoch < wanted; });
  if (place != starts_.end() && place->epoch == epoch) {
    place->first = std::min(place->first, first);
  } else {
    place = starts_.insert(place, {epoch, first});
  }
  // An older epoch never begins behind a newer one: the segments' word counts over an older table's.
  for (auto before = place; before != starts_.begin(); --before) {
    (before - 1)->first = std::min((before - 1)->first, before->first);
  }
  for (auto after = place + 1; after != starts_.end(); ++after) after->first = std::max(after->first, place->first);
}

void EpochTable::forget_before(std::uint64_t oldest) {
  auto keep = std::upper_bound(starts_.begin(), starts_.end(), oldest,
                               [](std::uint64_t wanted, const EpochStart& start) { return wanted < start.first; });
  const std::ptrdiff_t index = keep - starts_.begin() - 1;
  if (index > kOldEpochsKept) starts_.erase(starts_.begin(), starts_.begin() + (index - kOldEpochsKept));
}

std::uint32_t EpochTable::epoch_of(std::uint64_t sequence) const {
  const auto after =
      std::upper_bound(starts_.begin(), starts_.end(), sequence,
                       [](std::uint64_t wanted, const EpochStart& start) { return wanted < start.first; });
  if (after == starts_.begin()) return starts_.empty() ? 0 : starts_.front().epoch;
  return (after - 1)->epoch;
}

std::uint64_t EpochTable::sequence_of(Position position, std::uint64_t end) const {
  position.sequence = std::max<std::uint64_t>(position.sequence, 1);  // the first there is
  if (starts_.empty()) return std::min(position.sequence, end);
  const auto after =
      std::upper_bound(starts_.begin(), starts_.end(), position.epoch,
                       [](std::uint32_t wanted, const EpochStart& start) { return wanted < start.epoch; });
  const std::uint64_t next_first = after == starts_.end() ? end : std::min(after->first, end);
  if (after == starts_.begin()) return std::min(position.sequence, next_first);
  const EpochStart& start = *(after - 1);
  if (start.epoch < position.epoch) return next_first;
  return std::clamp(position.sequence, std::min(start.first, next_first), next_first);
}

std::uint64_t EpochTable::last_of(std::uint64_t sequence, std::uint64_t end) const {
  const auto after =
      std::upper_bound(starts_.begin(), starts_.end(), sequence,
                       [](std::uint64_t wanted, const EpochStart& start) { return wanted < start.first; });
  return (after == starts_.end() ? end : std::min(after->first, end)) - 1;
}

std::vector<EpochRange> EpochTable::ranges(Stream stream, std::uint64_t end) const {
  std::vector<EpochRange> ranges;
  for (std::size_t i = 0; i < starts_.size(); ++i) {
    const std::uint64_t behind = i + 1 < starts_.size() ? starts_[i + 1].first : end;
    ranges.push_back({stream, starts_[i].epoch, starts_[i].first, behind - 1});
  }
  return ranges;
}

}  // namespace tidegate::buffer
