#include "tests/uplink/receiver_oracle.h"

#include <algorithm>

namespace tidegate::uplink::testing {
namespace {

using Fate = ModelRecord::Fate;

std::string describe(const ParsedBatch& batch) {
  return "batch " + std::to_string(batch.epoch) + ":" + std::to_string(batch.from) + ".." + std::to_string(batch.to);
}

}  // namespace

std::string describe(Position position) {
  return std::to_string(position.epoch) + ":" + std::to_string(position.sequence);
}

std::string ReceiverOracle::receive(const ParsedBatch& batch) {
  std::string problem = batch.problem;
  if (problem.empty()) problem = check_content(batch);
  std::optional<Position>& newest = newest_[has_lanes_ ? batch.lane : std::string()];
  const bool is_backlog = has_lanes_ && batch.lane == "backlog";
  if (problem.empty() && batch.skipped && (!has_lanes_ || is_backlog)) problem = "skips something";
  note_promise(batch);
  if (problem.empty() && link_keeps_order_) problem = is_backlog ? check_backlog(batch) : check_chain(batch, newest);
  if (!problem.empty()) return describe(batch) + " of lane " + batch.lane + ": " + problem;
  note_answer(batch);
  if (newest && batch.last() <= *newest) ++repeats_;
  if (!newest || batch.last() > *newest) newest = batch.last();
  return {};
}

void ReceiverOracle::note_promise(const ParsedBatch& batch) {
  if (!batch.skipped) return;
  for (std::size_t i = log_.index_of({batch.skipped->epoch, batch.skipped->from}); i < log_.records().size(); ++i) {
    const Position at = log_.records()[i].at;
    if (at >= batch.first()) return;
    log_.find(at)->promised = true;
  }
}

void ReceiverOracle::note_answer(const ParsedBatch& batch) {
  const auto& records = log_.records();
  for (std::size_t i = log_.index_of(batch.first()); i < records.size() && records[i].at <= batch.last(); ++i) {
    log_.find(records[i].at)->answered = true;
  }
  if (!batch.prev && !is_beginning(batch)) return;
  const Position chain_end = batch.prev ? Position{batch.prev->epoch, batch.prev->to} : Position{};
  for (std::size_t i = log_.index_of(chain_end); i < records.size() && records[i].at < batch.first(); ++i) {
    if (!records[i].passes) log_.find(records[i].at)->answered = true;
  }
}

// Of all that lies before it nothing is open any more: what came by the lane live, by earlier stretches, and by earlier
// batches of this one.
std::string ReceiverOracle::check_backlog(const ParsedBatch& batch) const {
  const bool may_reach_back = batch.prev || is_beginning(batch);
  for (const ModelRecord& record : log_.records()) {
    if (record.at >= batch.first()) break;
    const bool is_gone = record.fate != Fate::kept || record.declared;
    if (!is_gone && !record.answered && (record.passes || !may_reach_back)) {
      return "open before it is " + testing::describe(record.at);
    }
  }
  return {};
}

// The entries are exactly the records of the stretch that pass the filter. Only the first batch of an epoch may, after
// a restart, reach back over what a gap record declares lost.
std::string ReceiverOracle::check_content(const ParsedBatch& batch) {
  std::size_t next = 0;
  for (std::uint64_t sequence = batch.from; sequence <= batch.to; ++sequence) {
    ModelRecord* const record = log_.find({batch.epoch, sequence});
    if (record == nullptr || !record->passes) continue;
    const bool is_next = next < batch.entries.size() && batch.entries[next].sequence == sequence;
    if (record->fate == Fate::vanished && !is_next) continue;  // the end of a stretch may be
    if (record->dead && !is_next) continue;
    if (next >= batch.entries.size() || batch.entries[next].sequence != sequence) {
      if ((batch.prev || is_beginning(batch)) && record->fate == Fate::evicted) continue;
      return "lacks " + std::to_string(sequence);
    }
    if (batch.entries[next].value != record->value) return "altered " + std::to_string(sequence);
    record->received = true;
    ++next;
  }
  return next == batch.entries.size() ? std::string() : "has an entry that was never appended or is filtered";
}

// Between the newest that was answered for and this batch nothing is left open: only what is lost, and, over epochs
// with "prev", what the filter left out.
std::string ReceiverOracle::check_chain(const ParsedBatch& batch, const std::optional<Position>& newest) const {
  if (!newest || batch.first() <= *newest) return {};
  bool after_gap = false;
  const auto& records = log_.records();
  for (std::size_t i = log_.index_of(*newest); i < records.size() && records[i].at < batch.first(); ++i) {
    if (records[i].at == *newest || records[i].fate == Fate::vanished) continue;
    if (records[i].fate == Fate::evicted) after_gap = true;
    const bool may_reach_back = batch.epoch != newest->epoch && (batch.prev || is_beginning(batch));
    const bool is_promised = batch.skipped && records[i].promised;
    const bool is_elsewhere = (batch.replay || batch.skipped) && records[i].answered;
    if (records[i].declared || is_promised || is_elsewhere) after_gap = true;
    const bool is_answered = records[i].fate == Fate::evicted || records[i].declared || is_promised || is_elsewhere ||
                             (!records[i].passes && may_reach_back);
    if (!is_answered) return "hole at " + testing::describe(records[i].at);
  }
  if (batch.replay || batch.skipped) return {};  // the chain begins anew
  if (batch.epoch == newest->epoch && !after_gap && batch.from != newest->sequence + 1) {
    return "begins behind " + testing::describe(*newest) + " without a gap";
  }
  return check_prev(batch, *newest, after_gap);
}

// Nothing of what lies before it is left, so there is no end of a chain to name.
bool ReceiverOracle::is_beginning(const ParsedBatch& batch) const {
  const auto& records = log_.records();
  if (batch.from == 0) return true;
  return std::none_of(records.begin(), records.begin() + static_cast<std::ptrdiff_t>(log_.index_of(batch.first())),
                      [](const ModelRecord& record) { return record.fate == Fate::kept; });
}

std::string ReceiverOracle::check_prev(const ParsedBatch& batch, Position newest, bool after_gap) const {
  if (batch.epoch == newest.epoch) return {};
  if (!batch.prev) return is_beginning(batch) ? "" : "first of an epoch without prev";
  const Position prev{batch.prev->epoch, batch.prev->to};
  // Behind what was received it may only lie by a gap.
  const auto& records = log_.records();
  for (std::size_t i = log_.index_of({newest.epoch, newest.sequence + 1}); i < log_.index_of(prev); ++i) {
    if (records[i].fate == Fate::kept) return "prev " + testing::describe(prev) + " is not known here";
  }
  if (!after_gap && batch.from > prev.sequence + 1 && batch.from > newest.sequence + 1) return "begins too late";
  return {};
}

std::string ReceiverOracle::find_missing() const {
  for (const ModelRecord& record : log_.records()) {
    if (record.passes && record.fate == Fate::kept && !record.received && !record.skipped && !record.dead)
      return testing::describe(record.at);
    const bool is_gone = record.fate != Fate::kept || record.declared;
    // What the filter left out at the very end no batch answers for yet; a kill may have taken the promise back.
    const bool is_at_end = std::none_of(newest_.begin(), newest_.end(),
                                        [&](const auto& lane) { return lane.second && *lane.second > record.at; });
    if (record.promised && !record.answered && !is_gone && !is_at_end) {
      return "promised " + testing::describe(record.at);
    }
  }
  return {};
}

}  // namespace tidegate::uplink::testing
