// What a chain makes of what is read: batches and gaps, over which its cursor moves.
#include <algorithm>
#include <cassert>
#include <utility>

#include "uplink/stream_chain.h"

namespace tidegate::uplink {

void StreamChain::announce(Position end) {
  if (bounded_ || end <= end_) return;
  end_ = end;
  rests_ = false;
}

void StreamChain::supply(const RecordBatch& batch, BootTime now, std::size_t room) {
  if (batch.size() == 0) {
    if (bounded_) return supply_gap(end_, 0, "");
    rests_ = true;
    return;
  }
  if (!enter(batch)) return;
  if (!bounded_) end_ = std::max(end_, batch.end());
  const Position stop = std::min(batch.end(), end_);
  while (read_ < stop) {
    if (!fill_.take(batch, static_cast<std::size_t>(read_.sequence - batch.first), now)) {
      if (room == 0) break;
      seal();
      --room;
      continue;
    }
    ++read_.sequence;
    ++unpassed_;
  }
  if (!fill_.empty()) evidence_.note_supply(now);
  close_at_end();
  settle();
}

void StreamChain::supply_gap(Position next, std::uint64_t lost, const std::string& reason) {
  if (bounded_) next = std::min(next, end_);
  if (next <= read_) return;
  end_ = std::max(end_, next);
  move_to(next, lost, reason);
  close_at_end();
  settle();
}

// Goes to where the batch begins, if it is news. A jump that nobody has declared is counted like one that was: nothing
// is lost in silence.
bool StreamChain::enter(const RecordBatch& batch) {
  if (batch.end() <= read_) return false;
  Position first{batch.epoch, batch.first};
  const std::uint64_t reached = bounded_ ? std::min(first.sequence, end_.sequence) : first.sequence;
  if (bounded_) first = std::min(first, end_);
  if (first <= read_) return true;
  const bool skips = read_.epoch != 0 && reached > read_.sequence;
  move_to(first, skips ? reached - read_.sequence : 0, "unknown");
  return true;
}

void StreamChain::move_to(Position next, std::uint64_t lost, const std::string& reason) {
  const std::uint64_t reached = read_.sequence + lost;
  if (read_.epoch == 0) accounting_.first += next.sequence - reached;
  if (read_.epoch != 0 && reached > next.sequence) reuses_.push_back({next, reached - next.sequence, 0});
  if (bounded_ && next == end_ && read_.epoch != 0 && reached < next.sequence) vanish_to_end(reached);
  if (next == read_) return;
  if (lost == 0 && next.epoch != read_.epoch) {
    begin_epoch(next);
  } else {
    break_chain(next, lost, reason);
  }
}

// The lane live once began behind records that the log lost in a crash: nobody is to count their numbers. Within an
// epoch the last batch answers for them.
void StreamChain::vanish_to_end(std::uint64_t reached) {
  reuses_.push_back({end_, 0, end_.sequence - reached});
  if (read_.epoch == end_.epoch && read_.sequence == reached) read_ = end_;
}

// A batch has one epoch. What the filter left out at the end of the old one is answered for by the first batch of the
// new one, whose "prev" says where the chain stands.
void StreamChain::begin_epoch(Position next) {
  const bool is_first_ever = read_.epoch == 0;
  if (!fill_.empty()) seal();
  read_ = next;
  if (!is_first_ever) return fill_.reach_back(next.sequence);
  fill_.begin_next(next.sequence);
  acked_to_ = passed_to_ = next;
}

// What was covered before the gap is answered for by a batch, be it one without entries: behind the gap the receiver
// could not tell it from what is lost.
void StreamChain::break_chain(Position next, std::uint64_t lost, const std::string& reason) {
  if (!fill_.empty() || fill_.stretch().from < read_.sequence) seal();
  Link gap;
  gap.state = State::done;
  gap.end = next;
  gap.lost = lost;
  gap.reason = reason;
  chain_.push_back(std::move(gap));
  unpassed_ += lost;
  if (!sealed_to_ && next.sequence != 0) sealed_to_ = ChainEnd{next.epoch, next.sequence - 1};
  read_ = next;
  fill_.begin_next(next.sequence);
}

void StreamChain::seal() {
  Link link;
  link.end = read_;
  link.number = next_number_++;
  link.stretch = fill_.stretch();
  if (sealed_to_ && sealed_to_->epoch != read_.epoch) link.prev = sealed_to_;
  sealed_to_ = ChainEnd{read_.epoch, read_.sequence - 1};
  link.replay = replay_ && !replay_sealed_;
  replay_sealed_ = replay_;
  if (left_ && !left_sealed_) link.skipped = SkippedMark{left_->epoch, left_->sequence, acked_to_.sequence - 1};
  left_sealed_ = left_.has_value();
  link.doubts = fill_.take_doubts();
  link.entries = fill_.begin_next(read_.sequence);
  chain_.push_back(std::move(link));
  ++held_;
  ++waiting_;
}

// Moves the cursor over what is done at the chain's head, then over what the filter left out behind that. A gap into a
// new epoch leaves acked_to where it is, so that after a restart too the first batch there has its "prev".
void StreamChain::settle() {
  while (!chain_.empty() && chain_.front().state == State::done) {
    const Link& link = chain_.front();
    count_done(link);
    pass(link.end);
    if (!link.is_gap() || link.end.epoch == acked_to_.epoch || acked_to_.epoch == 0) acked_to_ = link.end;
    lead_counted_ = 0;
    chain_.pop_front();
  }
  const Stretch& head = chain_.empty() ? fill_.stretch() : chain_.front().stretch;
  const Position head_end = chain_.empty() ? read_ : chain_.front().end;
  const std::uint64_t newly_filtered = head.lead - lead_counted_;
  accounting_.filtered += newly_filtered;
  unpassed_ -= newly_filtered;
  lead_counted_ = head.lead;
  const bool is_all_filtered = head.count == 0 && (chain_.empty() || chain_.front().lost == 0);
  pass(is_all_filtered ? head_end : head.first_entry);
}

void StreamChain::pass(Position to) {
  passed_to_ = to;
  for (; !reuses_.empty() && reuses_.front().at <= to; reuses_.pop_front()) {
    accounting_.reused += reuses_.front().count;
    accounting_.first += reuses_.front().vanished;
  }
}

void StreamChain::count_done(const Link& link) {
  const std::uint64_t filtered = link.stretch.filtered - lead_counted_;
  accounting_.delivered += link.stretch.count;
  accounting_.filtered += filtered;
  accounting_.drop(link.reason, link.lost);
  if (link.replay) replay_ = replay_sealed_ = false;
  if (link.skipped) left_.reset();
  if (link.skipped) left_sealed_ = false;
  const std::uint64_t records = link.stretch.count + filtered + link.lost;
  assert(records <= unpassed_);
  unpassed_ -= records;
  if (!link.is_gap()) --held_;
}

// The stretch is answered for to its end, be it by a batch without entries.
void StreamChain::close_at_end() {
  if (!bounded_ || read_ < end_) return;
  if (!fill_.empty() || fill_.stretch().from < read_.sequence) seal();
  if (next_batch_behind(chain_.size()) == chain_.size()) end_joined_before(chain_.size());
}

}  // namespace tidegate::uplink
