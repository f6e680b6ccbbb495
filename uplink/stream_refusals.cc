// What a chain does with a batch that the target refuses for what is in it: finds the record, and lets it go as a dead
// letter.
#include <algorithm>
#include <charconv>
#include <string_view>
#include <utility>

#include "uplink/accounting.h"
#include "uplink/json_text.h"
#include "uplink/stream_chain.h"

namespace tidegate::uplink {
namespace {

constexpr std::string_view kEntryBegins = "{\"seq\":";
constexpr std::string_view kTail = "]}";

/// Where the text of a message's entries is cut in two: `at` is where the second part begins.
struct Cut {
  std::size_t at = 0;
  std::uint64_t sequence = 0;  // of its first entry
};

std::optional<std::uint64_t> sequence_of(std::string_view entry) {
  std::uint64_t sequence = 0;
  if (!entry.starts_with(kEntryBegins)) return std::nullopt;
  const auto read = std::from_chars(entry.data() + kEntryBegins.size(), entry.data() + entry.size(), sequence);
  return read.ec == std::errc() ? std::optional(sequence) : std::nullopt;
}

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
  const std::size_t index = find(batch_id);
  if (!is_current_attempt(index, batch_id)) return std::nullopt;
  Link& link = chain_[index];
  if (!link.taken_before) link.taken_before = acknowledged_;
  ++link.refusals;
  looks_for_others_ = is_doubtful(link, how);
  const std::uint32_t tries = looks_for_others_ ? dead_letter_after_ * Forwarder::kPatience : dead_letter_after_;
  const bool is_part = link.suspect && link.stretch.count > 1;
  if (!is_part && link.refusals < tries) {
    fail(batch_id, now);
    return std::nullopt;
  }
  if (link.stretch.count > 1) {
    // What cannot be cut is no batch of ours.
    if (!split(index)) fail(batch_id, now);
    return std::nullopt;
  }
  rewind_from(index);
  paused_until_.reset();
  if (link.stretch.count == 0) {
    acknowledge(batch_id);  // nothing is in it that could be lost
    return std::nullopt;
  }
  RefusedRecord refused = set_aside(link);
  refused.batch_id = batch_id;
  refused.answer = how.refusal;
  return refused;
}

bool StreamChain::is_doubtful(const Link& link, const BatchFailure& how) const {
  const bool takes_others = acknowledged_ > link.taken_before.value_or(0);
  return how.may_be_general && !takes_others && link.stretch.count == 1;
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
  const std::string_view second_text = message.substr(cut->at, message.size() - kTail.size() - cut->at);

  suspect(first);
  Link second;
  second.end = first.end;
  second.number = next_number_++;
  second.suspect = true;
  second.taken_before = first.taken_before;
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

RefusedRecord StreamChain::set_aside(Link& link) {
  suspect(link);
  link.state = State::set_aside;
  --waiting_;
  ++set_aside_;
  RefusedRecord refused;
  refused.stream = stream_;
  refused.at = link.stretch.first_entry;
  refused.record = link.message->substr(link.entries_at, link.message->size() - kTail.size() - link.entries_at);
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
void StreamChain::leave_out(std::uint64_t batch_id) {
  Link* const link = find_set_aside(batch_id);
  if (link == nullptr) return;
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
}

void StreamChain::keep(std::uint64_t batch_id, BootTime now) {
  Link* const link = find_set_aside(batch_id);
  if (link == nullptr) return;
  link->state = State::waiting;
  --set_aside_;
  ++waiting_;
  paused_until_ = now + backoff_.next();
}

}  // namespace tidegate::uplink
