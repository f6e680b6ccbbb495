#include "rules/pending_set.h"

#include <algorithm>

namespace tidegate::rules {

std::uint32_t PendingSet::add(Entry entry) {
  if (entries_.empty()) {
    earliest_ = entry.deadline;
    is_stale_ = false;
  }
  earliest_ = std::min(earliest_, entry.deadline);
  entries_.push_back(entry);
  return static_cast<std::uint32_t>(entries_.size() - 1);
}

std::uint32_t PendingSet::remove(std::uint32_t slot) {
  if (entries_[slot].deadline <= earliest_) is_stale_ = true;
  entries_[slot] = entries_.back();
  entries_.pop_back();
  return slot < entries_.size() ? entries_[slot].alarm : kNoSlot;
}

BootTime PendingSet::earliest() {
  if (is_stale_) {
    earliest_ = std::min_element(entries_.begin(), entries_.end(), [](const Entry& a, const Entry& b) {
                  return a.deadline < b.deadline;
                })->deadline;
    is_stale_ = false;
  }
  return earliest_;
}

}  // namespace tidegate::rules
