#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "core/clock_history.h"

namespace tidegate::uplink {

/// Where in the text of entries the time of one stands, and the word that doubts it.
struct TimeSpot {
  std::size_t time_at = 0;
  std::size_t time_bytes = 0;  // with "time_ns"
  std::size_t word_at = 0;     // of "unsynced" or "estimated"; 0: nothing doubts the time
};

/// The entries of one batch whose time is that of a clock that was not synced: known well enough to be put right in the
/// encoded text when the batch is sent first, by what is known of the clock then. Takes 24 bytes an entry, nothing
/// while the clock is synced.
class DoubtfulTimes {
 public:
  /// How much longer correct() makes one entry at most.
  static constexpr std::size_t kGrowthMax = 49;

  bool empty() const { return entries_.empty(); }
  std::size_t size() const { return entries_.size(); }
  /// Entries come in the order of the text.
  void add(const TimeSpot& spot, WallTime time, const RecordBatch& batch);
  void clear();
  /// Puts the times in `text` right where the history knows better; those become "estimated".
  void correct(std::string& text, const ClockHistory& history) const;

 private:
  struct Frame {
    BootId boot_id{};
    FrameTimes times;
  };
  struct Entry {
    std::uint32_t time_at = 0;
    std::uint32_t time_bytes = 0;
    std::uint32_t word_at = 0;
    std::uint32_t frame = 0;
    WallTime time{};
  };

  std::vector<Frame> frames_;
  std::vector<Entry> entries_;
};

}  // namespace tidegate::uplink
