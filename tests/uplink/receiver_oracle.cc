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
  if (problem.empty() && link_keeps_order_) problem = check_chain(batch);
  if (!problem.empty()) return describe(batch) + ": " + problem;
  if (newest_ && batch.last() <= *newest_) ++repeats_;
  if (!newest_ || batch.last() > *newest_) newest_ = batch.last();
  return {};
}

// The entries are exactly the records of the stretch that pass the filter. Only the first batch of an epoch may, after
// a restart, reach back over what a gap record declares lost.
std::string ReceiverOracle::check_content(const ParsedBatch& batch) {
  std::size_t next = 0;
  for (std::uint64_t sequence = batch.from; sequence <= batch.to; ++sequence) {
    ModelRecord* const record = log_.find({batch.epoch, sequence});
    if (record == nullptr || !record->passes) continue;
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
std::string ReceiverOracle::check_chain(const ParsedBatch& batch) const {
  if (!newest_ || batch.first() <= *newest_) return {};
  bool after_gap = false;
  const auto& records = log_.records();
  for (std::size_t i = log_.index_of(*newest_); i < records.size() && records[i].at < batch.first(); ++i) {
    if (records[i].at == *newest_ || records[i].fate == Fate::vanished) continue;
    if (records[i].fate == Fate::evicted) after_gap = true;
    const bool may_reach_back = batch.epoch != newest_->epoch && (batch.prev || is_beginning(batch));
    if (records[i].declared) after_gap = true;
    const bool is_answered =
        records[i].fate == Fate::evicted || records[i].declared || (!records[i].passes && may_reach_back);
    if (!is_answered) return "hole at " + testing::describe(records[i].at);
  }
  if (batch.replay) return {};  // the chain begins anew
  if (batch.epoch == newest_->epoch && !after_gap && batch.from != newest_->sequence + 1) {
    return "begins behind " + testing::describe(*newest_) + " without a gap";
  }
  return check_prev(batch, after_gap);
}

// Nothing of what lies before it is left, so there is no end of a chain to name.
bool ReceiverOracle::is_beginning(const ParsedBatch& batch) const {
  const auto& records = log_.records();
  if (batch.from == 0) return true;
  return std::none_of(records.begin(), records.begin() + static_cast<std::ptrdiff_t>(log_.index_of(batch.first())),
                      [](const ModelRecord& record) { return record.fate == Fate::kept; });
}

std::string ReceiverOracle::check_prev(const ParsedBatch& batch, bool after_gap) const {
  if (batch.epoch == newest_->epoch) return {};
  if (!batch.prev) return is_beginning(batch) ? "" : "first of an epoch without prev";
  const Position prev{batch.prev->epoch, batch.prev->to};
  // Behind what was received it may only lie by a gap.
  const auto& records = log_.records();
  for (std::size_t i = log_.index_of({newest_->epoch, newest_->sequence + 1}); i < log_.index_of(prev); ++i) {
    if (records[i].fate == Fate::kept) return "prev " + testing::describe(prev) + " is not known here";
  }
  if (!after_gap && batch.from > prev.sequence + 1 && batch.from > newest_->sequence + 1) return "begins too late";
  return {};
}

std::string ReceiverOracle::find_missing() const {
  for (const ModelRecord& record : log_.records()) {
    if (record.passes && record.fate == Fate::kept && !record.received && !record.skipped)
      return testing::describe(record.at);
  }
  return {};
}

}  // namespace tidegate::uplink::testing
