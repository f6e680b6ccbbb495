#pragma once

#include <cstdint>
#include <vector>

#include "core/time.h"

namespace tidegate::rules {

/// The alarms that have a delay pending, and the earliest of their deadlines, which is looked for anew only when it was
/// the one removed.
class PendingSet {
 public:
  struct Entry {
    std::uint32_t alarm = 0;
    BootTime deadline{};
  };

  static constexpr std::uint32_t kNoSlot = 0xffffffffU;

  /// The slot to remove it by.
  std::uint32_t add(Entry entry);
  /// The alarm that sits in this slot afterwards, when another one took it over; else kNoSlot.
  std::uint32_t remove(std::uint32_t slot);
  void clear() { entries_.clear(); }

  bool empty() const { return entries_.empty(); }
  const std::vector<Entry>& entries() const { return entries_; }
  /// Of a set that is not empty.
  BootTime earliest();

 private:
  std::vector<Entry> entries_;
  BootTime earliest_{};
  bool is_stale_ = false;
};

}  // namespace tidegate::rules
