// What a chain does with a batch that the target refuses for what is in it: finds the record, and lets it go as a dead
// letter. Whether it is to blame: stream_trial.cc.
#include <algorithm>
#include <cassert>
#include <string_view>
#include <utility>
#include <vector>

#include "uplink/accounting.h"
#include "uplink/json_text.h"
#include "uplink/stream_chain.h"

namespace tidegate::uplink {
namespace {

/// Where the text of a message's entries is cut in two: `at` is where the second part begins.
struct Cut {
  std::size_t at = 0;
  std::uint64_t sequence = 0;  // of its first entry
};

// Entries stand one behind the other with a comma between.
std::optional<Cut> cut_behind(const std::string& message, std::size_t entries_at, Stream stream, std::uint32_t count) {
  Cut cut{entries_at};
  std::uint32_t seen = 0;
  std::optional<std::uint64_t> sequence;
  const auto read = for_each_entry(message, stream, [&](std::string_view entry) {
    if (seen < count) cut.at += entry.size() + 1;
    if (seen == count) sequence = sequence_of(entry);
    ++seen;
  });
  if (!read || !sequence || cut.at > message.size() || message[cut.at - 1] != ',') return std::nullopt;
  cut.sequence = *sequence;
  return cut;
}

}  // namespace

std::optional<RefusedRecord> StreamChain::refuse(std::uint64_t batch_id, BootTime now, const BatchFailure& how) {
  seen_ = std::max(seen_, now);
  if (is_beside_trial(batch_id)) {
    refuse_beside(now);
    return std::nullopt;
  }
  const std::size_t index = find(batch_id);
  if (!is_current_attempt(index, batch_id)) return std::nullopt;
  if (!std::exchange(is_refusing_, true)) fresh_from_ = evidence_.count();
  Link& link = chain_[index];
  ++link.refusals;
  if (on_trial() < index) {
    fail_from(index);
    pause(now);
  } else if (link.stretch.count == 1) {
    return refuse_record(index, now, how.refusal);
  } else if (link.stretch.count == 0) {
    refuse_empty(index, now);
  } else if ((!link.suspect && link.refusals < dead_letter_after_) || !split(index)) {
    fail(batch_id, now);  // what cannot be cut is no batch of ours
  }
  return std::nullopt;
}

// A target that takes no batch without entries is told by the next one what this one was to say.
void StreamChain::refuse_empty(std::size_t index, BootTime now) {
  fail_from(index);
  Link& link = chain_[index];
  if (link.refusals < dead_letter_after_) return pause(now);
  paused_until_.reset();
  const std::size_t next = next_batch_behind(index);
  const bool is_at_end = next == chain_.size() && bounded_ && read_ >= end_ && fill_.empty();
  if (is_at_end || (next < chain_.size() && chain_[next].state == State::done)) {
    return end_untold(index);
  }
  link.state = State::joined;
  link.sent_on_this_link = false;
  --waiting_;
  --held_;
  if (std::exchange(link.suspect, false)) --suspects_;
  if (next == chain_.size()) return;
  // No late answer is to be taken for that of the batch that answers for both.
  chain_[next].number = next_number_++;
  chain_[next].attempt = 0;
}

// What it was to say of the chain, the next batch that is made says.
void StreamChain::end_untold(std::size_t index) {
  Link& link = chain_[index];
  if (std::exchange(link.replay, false)) replay_sealed_ = false;
  if (link.skipped) left_sealed_ = false;
  link.skipped.reset();
  take(index);
}

// Behind gaps, which are no batches.
std::size_t StreamChain::next_batch_behind(std::size_t index) const {
  for (++index; index < chain_.size(); ++index) {
    if (!chain_[index].is_gap()) return index;
  }
  return chain_.size();
}

void StreamChain::end_joined_before(std::size_t index) {
  while (index-- > 0 && (chain_[index].is_gap() || chain_[index].state == State::joined)) {
    if (chain_[index].state != State::joined) continue;
    chain_[index].state = State::done;
    ++held_;  // until it is passed
  }
}

// A batch answers for what is joined to it, too: within its epoch from there on; where a gap or a new epoch lies
// between, it says at least where the chain had ended.
void StreamChain::add_joined(std::size_t index, BatchHead& head) const {
  for (bool is_behind_gap = false; index-- > 0;) {
    const Link& link = chain_[index];
    if (link.is_gap()) is_behind_gap = true;
    if (link.is_gap()) continue;
    if (link.state != State::joined) return;
    if (link.end.epoch == head.epoch && !is_behind_gap) head.from = link.stretch.from;
    if (link.end.epoch != head.epoch && link.stretch.from > 0) head.prev = {link.end.epoch, link.stretch.from - 1};
    if (link.prev) head.prev = link.prev;
    if (link.skipped) head.skipped = link.skipped;
    head.replay = head.replay || link.replay;
  }
}

// Both parts answer together for exactly what the whole did. What a batch says of the chain before it, its first part
// says.
bool StreamChain::split(std::size_t index) {
  Link& first = chain_[index];
  const std::uint32_t count = first.stretch.count / 2;
  const auto cut = cut_behind(*first.message, first.entries_at, stream_, count);
  if (!cut) return false;
  const std::string_view message(*first.message);
  const std::string_view first_text = message.substr(first.entries_at, cut->at - 1 - first.entries_at);
  const std::string_view second_text = message.substr(cut->at, message.size() - BatchEncoder::kTail.size() - cut->at);

  suspect(first);
  first.is_part = true;
  Link second;
  second.end = first.end;
  second.number = next_number_++;
  second.suspect = true;
  second.is_part = true;
  second.stretch = first.stretch;
  second.stretch.from = cut->sequence;
  second.stretch.first_entry = {first.stretch.first_entry.epoch, cut->sequence};
  second.stretch.count = first.stretch.count - count;
  second.stretch.lead = 0;
  second.entries = second_text;

  const std::uint64_t numbers = cut->sequence - first.stretch.first_entry.sequence;
  first.stretch.count = count;
  first.stretch.filtered = first.stretch.lead + numbers - count;
  second.stretch.filtered -= first.stretch.filtered;
  first.end = {first.end.epoch, cut->sequence};
  first.number = next_number_++;
  first.attempt = 0;
  first.refusals = 0;
  first.links_lost = 0;
  first.sent_on_this_link = false;
  first.entries = first_text;
  first.message.reset();
  first.entries_at = 0;

  rewind_from(index);
  chain_.insert(chain_.begin() + static_cast<std::ptrdiff_t>(index) + 1, std::move(second));
  ++held_;
  ++waiting_;
  ++suspects_;
  paused_until_.reset();
  return true;
}

RefusedRecord StreamChain::set_aside(std::size_t index) {
  Link& link = chain_[index];
  rewind_from(index);
  paused_until_.reset();
  link.state = State::set_aside;
  --waiting_;
  ++set_aside_;
  RefusedRecord refused;
  refused.batch_id = id_of(link.number, link.attempt);
  refused.stream = stream_;
  refused.at = link.stretch.first_entry;
  refused.record =
      link.message->substr(link.entries_at, link.message->size() - BatchEncoder::kTail.size() - link.entries_at);
  refused.answer = answer_;
  refused.tries = link.refusals;
  return refused;
}

void StreamChain::suspect(Link& link) {
  if (!std::exchange(link.suspect, true)) ++suspects_;
}

StreamChain::Link* StreamChain::find_set_aside(std::uint64_t batch_id) {
  const std::size_t index = find(batch_id);
  return index < chain_.size() && chain_[index].state == State::set_aside ? &chain_[index] : nullptr;
}

// What the batch said of the chain before it has to reach the receiver, and its number to be answered for: so it goes
// without its entry. It is another batch, so that no late answer to the refused one is taken for its own.
bool StreamChain::leave_out(std::uint64_t batch_id) {
  Link* const link = find_set_aside(batch_id);
  if (link == nullptr) return false;
  link->state = State::waiting;
  link->number = next_number_++;
  link->attempt = 0;
  link->refusals = 0;
  link->stretch.count = 0;
  link->lost = 1;
  link->reason = kDeadLetter;
  link->message.reset();
  link->entries_at = 0;
  --set_aside_;
  ++waiting_;
  evidence_.forget_refused(tag_, link->stretch.first_entry);
  if (trial_.letter_made()) fresh_from_ = evidence_.count();
  kept_backoff_.reset();
  return true;
}

void StreamChain::keep(std::uint64_t batch_id, BootTime now) {
  Link* const link = find_set_aside(batch_id);
  if (link == nullptr) return;
  link->state = State::waiting;
  --set_aside_;
  ++waiting_;
  trial_.letter_kept_back();
  paused_until_ = now + kept_backoff_.next();
}

}  // namespace tidegate::uplink
