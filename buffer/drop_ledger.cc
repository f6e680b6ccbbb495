#include "buffer/drop_ledger.h"

#include <algorithm>

namespace tidegate::buffer {
namespace {

constexpr Duration kFirstRecordAfter = std::chrono::seconds(1);
constexpr Duration kRecordIntervalMax = std::chrono::minutes(10);
constexpr const char* kReason = "drop-newest";

}  // namespace

void DropLedger::take_over(std::vector<Loss> unrecorded, std::vector<Loss> recorded, std::uint64_t events_end) {
  for (Loss& loss : unrecorded) loss.reason = kReason;
  unrecorded_ = std::move(unrecorded);
  for (const Loss& loss : recorded) recorded_.push_back({loss, events_end});
}

void DropLedger::add(SequenceRange range, WallTime wall, BootTime now) {
  total_ += range.count();
  if (!open_) {
    open_ = true;
    interval_ = kFirstRecordAfter;
    due_at_ = now + interval_;
  }
  if (!unrecorded_.empty() && unrecorded_.back().range.end == range.first) {
    unrecorded_.back().range.end = range.end;
    unrecorded_.back().to = std::max(unrecorded_.back().to, wall);
  } else {
    unrecorded_.push_back({range, kReason, wall, wall});
  }
}

void DropLedger::close() {
  open_ = false;
  due_at_ = BootTime{};
}

std::optional<BootTime> DropLedger::due_at() const {
  return unrecorded_.empty() ? std::nullopt : std::optional(due_at_);
}

void DropLedger::set_recorded(std::uint64_t events_end, BootTime now) {
  for (const Loss& loss : unrecorded_) recorded_.push_back({loss, events_end});
  unrecorded_.clear();
  interval_ = std::min(2 * interval_, kRecordIntervalMax);
  due_at_ = now + interval_;
}

void DropLedger::put_off(BootTime now) { due_at_ = now + kFirstRecordAfter; }

void DropLedger::set_durable(std::uint64_t events_durable) {
  std::erase_if(recorded_, [&](const Recorded& one) { return one.events_end <= events_durable; });
}

std::vector<Loss> DropLedger::pending() const {
  std::vector<Loss> all;
  for (const Recorded& one : recorded_) all.push_back(one.loss);
  all.insert(all.end(), unrecorded_.begin(), unrecorded_.end());
  return all;
}

}  // namespace tidegate::buffer
