#include "uplink/stream_chain.h"

#include <algorithm>
#include <cassert>
#include <utility>

#include "core/free_room.h"

namespace tidegate::uplink {
namespace {

// How much older than the delay that batching itself causes a record may be and still count as live.
constexpr Duration kLiveMargin = std::chrono::seconds(5);

// The link may be lost by chance with a batch on its way, but hardly so often in a row with the same one.
constexpr std::uint16_t kLinksLostMost = 3;

// Acknowledged batches before larger ones are tried again.
constexpr std::uint32_t kGrowsAfterFirst = 64;
constexpr std::uint32_t kGrowsAfterMost = 65536;

// An id is: number of the batch in its lane, lane, stream, attempt.
constexpr unsigned kAttemptBits = 16;
constexpr unsigned kStreamBits = 2;
constexpr unsigned kLaneBits = 1;

std::uint64_t batch_part(std::uint64_t id) { return id >> (kAttemptBits + kStreamBits + kLaneBits); }
std::uint16_t attempt_part(std::uint64_t id) { return static_cast<std::uint16_t>(id & ((1U << kAttemptBits) - 1)); }

std::uint64_t make_id(std::uint64_t number, LaneOf of, std::uint16_t attempt) {
  const std::uint64_t numbered = (number << kLaneBits) | static_cast<std::uint64_t>(of.lane);
  return (((numbered << kStreamBits) | static_cast<std::uint64_t>(of.stream)) << kAttemptBits) | attempt;
}

}  // namespace

StreamChain::StreamChain(Stream stream, const Parts& parts, TakenBatches& evidence, std::uint64_t jitter_seed,
                         Lane lane)
    : stream_(stream),
      lane_(lane),
      delay_max_(parts.options.batch_delay_max),
      keeps_order_(parts.options.keeps_order),
      blames_size_(parts.options.blames_size_for_lost_links),
      dead_letter_after_(parts.options.dead_letter_after),
      encoder_(parts.encoder),
      clock_(parts.clock),
      fill_(parts.options, parts.encoder, parts.filter),
      lane_named_(parts.options.live_first && stream == Stream::readings),
      evidence_(evidence),
      trial_(parts.options.dead_letter_after, ~jitter_seed),
      random_(jitter_seed),
      backoff_(parts.options.retry_first, parts.options.retry_most, jitter_seed),
      kept_backoff_(parts.options.retry_first, parts.options.retry_most, jitter_seed) {}

std::uint64_t StreamChain::id_of(std::uint64_t number, std::uint16_t attempt) const {
  return make_id(number, {stream_, lane_}, attempt);
}

bool StreamChain::is_beside_trial(std::uint64_t batch_id) const {
  return beside_.number != 0 && batch_id == id_of(beside_.number, 0);
}

// Counted as dropped it stays, because counts only grow.
void StreamChain::count_letter() {
  ++accounting_.replayed;
  ++accounting_.delivered;
}

// The streams leave one of the numbers that an id has room for.
std::uint64_t StreamChain::id_beside(std::uint64_t number) {
  return (number << (kAttemptBits + kStreamBits + kLaneBits)) | (std::uint64_t{kStreamCount} << kAttemptBits);
}

bool StreamChain::is_beside(std::uint64_t batch_id) {
  return ((batch_id >> kAttemptBits) & ((1U << kStreamBits) - 1)) >= kStreamCount;
}

LaneOf StreamChain::lane_of(std::uint64_t batch_id) {
  const auto number = (batch_id >> kAttemptBits) & ((1U << kStreamBits) - 1);
  const auto lane = (batch_id >> (kAttemptBits + kStreamBits)) & ((1U << kLaneBits) - 1);
  return {static_cast<Stream>(std::min<std::uint64_t>(number, kStreamCount - 1)), static_cast<Lane>(lane)};
}

void StreamChain::restore(const Cursor& cursor, const Accounting& accounting, bool replay) {
  acked_to_ = cursor.acked_to;
  passed_to_ = std::max(cursor.passed_to, cursor.acked_to);
  accounting_ = accounting;
  complete(accounting_, passed_to_);
  replay_ = replay;
  end_ = passed_to_;
  go_on_from({acked_to_, passed_to_});
}

// Numbers of batches go on, so that no answer to what is forgotten finds one of the batches that come now.
void StreamChain::go_on_from(const Cursor& cursor) {
  ++round_;
  chain_.clear();
  reuses_.clear();
  held_ = waiting_ = in_flight_ = suspects_ = set_aside_ = 0;
  unpassed_ = lead_counted_ = 0;
  paused_until_.reset();
  rests_ = goes_alone_ = false;
  refused_.reset();
  forget_trial();
  replay_sealed_ = left_sealed_ = false;
  acked_to_ = cursor.acked_to;
  passed_to_ = read_ = cursor.passed_to;
  end_ = std::max(end_, read_);
  fill_.begin_next(std::min(acked_to_.sequence, passed_to_.sequence));
  sealed_to_.reset();
  if (acked_to_.epoch != 0 && acked_to_.sequence != 0) sealed_to_ = ChainEnd{acked_to_.epoch, acked_to_.sequence - 1};
  close_at_end();
}

void StreamChain::go_between(const SkippedStretch& stretch, bool replay) {
  accounting_.first += stretch.cursor.passed_to.sequence - passed_to_.sequence;
  bounded_ = true;
  replay_ = replay;
  end_ = stretch.end;
  go_on_from(stretch.cursor);
}

void StreamChain::reach_to(Position end) {
  end_ = end;
  rests_ = false;
}

SkippedStretch StreamChain::leave_to_end() {
  const SkippedStretch left{cursor(), end_};
  if (!left_) left_ = acked_to_;
  accounting_.first += end_.sequence - passed_to_.sequence;
  replay_ = false;
  go_on_from({end_, end_});
  return left;
}

void StreamChain::go_back_over_filtered() {
  assert(acked_to_.epoch == passed_to_.epoch);
  accounting_.filtered -= passed_to_.sequence - acked_to_.sequence;
  passed_to_ = acked_to_;
}

void StreamChain::move(const CursorMove& move) {
  accounting_.replayed += move.replayed;
  accounting_.reused += move.reused;
  if (!move.is_by_target) accounting_.drop("skipped", move.skipped);
  if (move.is_by_target) accounting_.delivered += move.skipped;
  for (const auto& [reason, count] : move.lost) {
    move.is_by_target ? void(accounting_.delivered += count) : accounting_.drop(reason, count);
  }
  left_.reset();
  evidence_.clear();
  kept_backoff_.reset();
  go_on_from({move.to, move.to});
  if (!move.is_by_target) replay_ = true;
}

std::optional<BootTime> StreamChain::ready_at() const {
  if (waiting_ == 0 && fill_.empty()) return std::nullopt;
  if (set_aside_ > 0 || beside_.number != 0) return std::nullopt;
  if ((suspects_ > 0 || goes_alone_) && in_flight_ > 0) return std::nullopt;
  // An alarm does not wait for company, unless others are on their way already.
  const bool is_urgent = stream_ == Stream::alarms && in_flight_ == 0;
  const bool waits = waiting_ == 0 && !fill_.full() && !is_urgent;
  const BootTime ready = waits ? waits_since() + delay_max_ : BootTime::min();
  return std::max(ready, paused_until_.value_or(BootTime::min()));
}

// A record waits for company from when it was taken in, so that a process that never lives for long sends it all the
// same; while there are more to be read, from when it was read, so that a backlog goes in full batches.
BootTime StreamChain::waits_since() const {
  if (is_behind()) return fill_.since();
  const Stretch& stretch = fill_.stretch();
  if (stretch.boot_id != clock_.this_boot()) return BootTime::min();
  return std::min(fill_.since(), stretch.times.boot);
}

const Stretch& StreamChain::next_stretch() const {
  return waiting_ == 0 ? fill_.stretch() : chain_[first_waiting()].stretch;
}

std::size_t StreamChain::first_waiting() const {
  const auto at = std::find_if(chain_.begin(), chain_.end(), [](const Link& l) { return l.state == State::waiting; });
  return static_cast<std::size_t>(at - chain_.begin());
}

// By boot time, because the wall clock may have been set since; that says nothing of a record of an earlier boot.
// Whatever is in the lane backlog is historical, however young.
bool StreamChain::is_historical(const Stretch& stretch, BootTime now) const {
  if (lane_ == Lane::backlog || stretch.boot_id != clock_.this_boot()) return true;
  const Duration age = now - stretch.times.boot;
  return age < Duration::zero() || age > delay_max_ + kLiveMargin;
}

OutgoingBatch StreamChain::send(BootTime now, WallTime wall_now) {
  seen_ = std::max(seen_, now);
  if (auto beside = send_beside(now, wall_now)) return *beside;
  if (waiting_ == 0) {
    seal();
    settle();
  }
  const std::size_t index = first_waiting();
  Link& link = chain_[index];
  const BatchHead head = head_of(index, now, wall_now);
  put_head(link, head);
  ++link.attempt;
  link.state = State::in_flight;
  link.sent_on_this_link = true;
  --waiting_;
  ++in_flight_;
  paused_until_.reset();
  const std::uint64_t id = id_of(link.number, link.attempt);
  OutgoingBatch batch{id, stream_, head.epoch, head.from, head.to, head.count, link.message, head.replay};
  batch.lane = uplink::lane_of(head);
  batch.round = round_;
  return batch;
}

void StreamChain::put_head(Link& link, const BatchHead& head) const {
  if (!link.message) {
    link.doubts.correct(link.entries, clock_);
    link.doubts = DoubtfulTimes();
  }
  std::string message = link.message ? *link.message : std::move(link.entries);
  link.entries_at = link.message ? encoder_.finish_again(message, link.entries_at, head)  //
                                 : encoder_.finish(message, head);
  free_room(link.entries);
  // A small one behind a large one has the room of that, and may be kept for long as a witness.
  if (message.capacity() > 2 * message.size()) message.shrink_to_fit();
  link.message = std::make_shared<const std::string>(std::move(message));
}

BatchHead StreamChain::head_of(std::size_t index, BootTime now, WallTime wall_now) const {
  const Link& link = chain_[index];
  BatchHead head;
  head.stream = stream_;
  head.epoch = link.end.epoch;
  head.from = link.stretch.from;
  head.to = link.end.sequence - 1;
  head.count = link.stretch.count;
  head.historical = is_historical(link.stretch, now);
  if (lane_named_) head.lane = lane_;
  head.sent = wall_now;
  head.prev = link.prev;
  head.skipped = link.skipped;
  head.replay = link.replay;
  add_joined(index, head);
  return head;
}

bool StreamChain::acknowledge(std::uint64_t batch_id) {
  if (is_beside_trial(batch_id)) {
    take_beside();
    return true;
  }
  const std::size_t index = find(batch_id);
  if (index == chain_.size() || chain_[index].state == State::done) return false;
  const State state = chain_[index].state;
  if (state == State::set_aside || state == State::joined) return false;
  if (keeps_order_ && !is_current_attempt(index, batch_id)) return false;
  take(index);
  return true;
}

// It is with the target, or needs not be.
void StreamChain::take(std::size_t index) {
  Link& link = chain_[index];
  --(link.state == State::waiting ? waiting_ : in_flight_);
  if (link.suspect) --suspects_;
  if (link.stretch.count > 0) note_taken(link);
  link.state = State::done;
  goes_alone_ = false;
  end_joined_before(index);
  look_whether_refusing();
  link.message.reset();
  free_room(link.entries);
  grow_again();
  settle();
}

void StreamChain::fail(std::uint64_t batch_id, BootTime now, bool progressed) {
  const std::size_t index = find(batch_id);
  if (is_beside_trial(batch_id)) {
    fail_beside();
    return pause(now);
  }
  if (!is_current_attempt(index, batch_id)) return;
  fail_from(index);
  if (progressed) backoff_.reset();
  pause(now);
}

// What was sent behind it may be with the target. In order it comes behind this one, and waits for that, or each
// further failure would bring it once more.
void StreamChain::fail_from(std::size_t index) {
  rewind_from(index);
  goes_alone_ = keeps_order_;
}

// Several of one window fail together: that is one failure.
void StreamChain::pause(BootTime now) {
  if (!paused_until_) paused_until_ = now + backoff_.next();
}

bool StreamChain::is_current_attempt(std::size_t index, std::uint64_t batch_id) const {
  return index < chain_.size() && chain_[index].state == State::in_flight &&
         chain_[index].attempt == attempt_part(batch_id);
}

std::optional<std::size_t> StreamChain::lose_link() {
  // What failed before the link was known to be lost waits again already.
  const auto oldest = std::find_if(chain_.begin(), chain_.end(),
                                   [](const Link& l) { return l.state != State::done && l.sent_on_this_link; });
  std::size_t too_large = 0;
  if (blames_size_ && oldest != chain_.end() && ++oldest->links_lost >= kLinksLostMost && oldest->stretch.count > 1) {
    too_large = oldest->message->size();
  }
  for (Link& link : chain_) link.sent_on_this_link = false;
  if (beside_.number != 0) fail_beside();
  rewind_from(0);
  goes_alone_ = false;
  paused_until_.reset();
  if (too_large == 0) return std::nullopt;
  // As after a restart: what was acknowledged behind the cursor goes out once more.
  fill_.limit_message(too_large / 2);
  go_on_from(cursor());
  return too_large;
}

std::optional<std::size_t> StreamChain::refuse_size(std::uint64_t batch_id) {
  const std::size_t index = find(batch_id);
  if (index == chain_.size() || chain_[index].state == State::done) return std::nullopt;
  const Link& link = chain_[index];
  if (link.stretch.count <= 1 || !link.message) return std::nullopt;
  const std::size_t bytes = link.message->size();
  // Each refusal of what had grown makes the next attempt rarer.
  grows_after_ = grows_after_ == 0 ? kGrowsAfterFirst : std::min(grows_after_ * 4, kGrowsAfterMost);
  taken_ = 0;
  fill_.limit_message(bytes / 2);
  go_on_from(cursor());
  return bytes;
}

void StreamChain::grow_again() {
  if (grows_after_ == 0 || ++taken_ < grows_after_) return;
  taken_ = 0;
  fill_.raise_limit();
}

void StreamChain::rewind_from(std::size_t index) {
  for (; index < chain_.size(); ++index) {
    if (chain_[index].state != State::in_flight) continue;
    chain_[index].state = State::waiting;
    --in_flight_;
    ++waiting_;
  }
}

// The index in the chain, its size when there is none.
std::size_t StreamChain::find(std::uint64_t batch_id) const {
  const std::uint64_t number = batch_part(batch_id);
  if (number == 0 || is_beside(batch_id) || lane_of(batch_id) != LaneOf(stream_, lane_)) return chain_.size();
  const auto at = std::find_if(chain_.begin(), chain_.end(), [number](const Link& l) { return l.number == number; });
  return static_cast<std::size_t>(at - chain_.begin());
}

ReadAhead StreamChain::read_ahead() const {
  ReadAhead ahead{read_, {}};
  for (const Link& link : chain_) {
    if (link.lost > 0) ahead.lost[link.reason] += link.lost;
  }
  return ahead;
}

std::uint64_t StreamChain::backlog() const {
  const bool has_unread = read_ < end_ && read_.sequence < end_.sequence;
  return unpassed_ + (has_unread ? end_.sequence - read_.sequence : 0);
}

// Within a boot by its clock, whatever the wall clock does; else by what is known of the other boot's wall clock.
Duration StreamChain::age_of(const Stretch& stretch, const FrameTimes& now) const {
  const FrameTimes& then = stretch.times;
  if (stretch.boot_id == clock_.this_boot()) return std::max(now.boot - then.boot, Duration::zero());
  const Duration shift = clock_.shift(stretch.boot_id, then).value_or(Duration::zero());
  return std::max(now.wall - then.wall - shift, Duration::zero());
}

std::optional<Duration> StreamChain::oldest_age(const FrameTimes& now) const {
  for (const Link& link : chain_) {
    if (link.state != State::done && link.stretch.count > 0) return age_of(link.stretch, now);
  }
  if (fill_.empty()) return std::nullopt;
  return age_of(fill_.stretch(), now);
}

}  // namespace tidegate::uplink
