#include "uplink/stream_lanes.h"

#include <algorithm>

namespace tidegate::uplink {

StreamLanes::StreamLanes(Stream stream, const StreamChain::Parts& parts, std::uint64_t jitter_seed)
    : evidence_(stream),
      live_(stream, parts, evidence_, jitter_seed, Lane::live),
      backlog_(stream, parts, evidence_, ~jitter_seed, Lane::backlog) {}

// All that was counted goes to the lane live: the accounts of the lanes are added up anyway.
void StreamLanes::restore(const LanePlaces& places, const Accounting& accounting, bool replay) {
  stretches_.assign(places.stretches.begin(), places.stretches.end());
  live_.restore(places.live, accounting, replay && !has_backlog());
  live_.set_left(places.left_at);
  if (!has_backlog()) return;
  live_.name_lane();
  backlog_.name_lane();
  backlog_.go_between(stretches_.front(), replay);
  settle();
}

void StreamLanes::move(const CursorMove& move) {
  live_.count_from_later(std::uint64_t{0} - open());
  const Position at = backlog_.cursor().passed_to;
  backlog_.go_between({{at, at}, at}, false);
  stretches_.clear();
  live_.move(move);
}

bool StreamLanes::leave_to_backlog() {
  const Cursor at = live_.cursor();
  // Nothing was acknowledged since the last time.
  const bool joins = has_backlog() && stretches_.back().end == at.acked_to && at.acked_to.epoch == at.passed_to.epoch;
  if (at.acked_to.epoch == 0 || (!joins && stretches_.size() >= kStretchesMost)) return false;
  const bool replay = live_.is_replay_marked();
  if (joins) live_.go_back_over_filtered();
  const SkippedStretch left = live_.leave_to_end();
  if (joins) {
    stretches_.back().end = left.end;
    if (stretches_.size() == 1) backlog_.reach_to(left.end);
    return true;
  }
  stretches_.push_back(left);
  if (stretches_.size() == 1) backlog_.go_between(left, replay);
  settle();
  return true;
}

void StreamLanes::settle() {
  while (has_backlog() && backlog_.is_done()) {
    stretches_.pop_front();
    if (has_backlog()) backlog_.go_between(stretches_.front(), false);
  }
}

LanePlaces StreamLanes::places() const {
  LanePlaces places;
  places.live = live_.cursor();
  places.left_at = live_.left();
  places.stretches.assign(stretches_.begin(), stretches_.end());
  if (has_backlog()) places.stretches.front().cursor = backlog_.cursor();
  return places;
}

// Numbers that the stretches have still to pass.
std::uint64_t StreamLanes::open() const {
  std::uint64_t open = 0;
  for (const SkippedStretch& stretch : places().stretches) {
    open += stretch.end.sequence - stretch.cursor.passed_to.sequence;
  }
  return open;
}

Accounting StreamLanes::accounting() const {
  Accounting sum = live_.accounting();
  const Accounting& more = backlog_.accounting();
  sum.delivered += more.delivered;
  sum.filtered += more.filtered;
  sum.replayed += more.replayed;
  sum.reused += more.reused;
  for (const auto& [reason, count] : more.reasons) sum.drop(reason, count);
  // So that the sum holds at the place of the lane live without what the stretches have still to pass.
  sum.first += more.first - backlog_.cursor().passed_to.sequence - open();
  return sum;
}

std::uint64_t StreamLanes::backlog() const {
  std::uint64_t sum = live_.backlog();
  for (const SkippedStretch& stretch : stretches_) {
    if (&stretch == &stretches_.front()) {
      sum += backlog_.backlog();
      continue;
    }
    const std::uint64_t from = stretch.cursor.passed_to.sequence;
    sum += stretch.end.sequence - std::min(from, stretch.end.sequence);
  }
  return sum;
}

}  // namespace tidegate::uplink
