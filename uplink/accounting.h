#pragma once

#include <cstdint>
#include <map>
#include <string>

#include "core/record.h"

namespace tidegate::uplink {

/// The reason under which what the target refuses for good is dropped: it is a dead letter then.
inline constexpr const char* kDeadLetter = "dead-letter";

/// Records of one stream counted by what became of them at one uplink, since its first start. At any time
///
///   accepted + replayed = delivered + filtered + pending + dropped
///
/// to the record, where accepted is how many sequences the log gave out since `first` (by sequences, so it is known
/// without counting), and pending what lies between the cursor and the log's end. Saved with the cursor, in one
/// transaction.
struct Accounting {
  std::uint64_t delivered = 0;
  std::uint64_t filtered = 0;
  std::uint64_t dropped = 0;   // sum of `reasons`
  std::uint64_t replayed = 0;  // passed, and then asked for again
  std::uint64_t first = 0;     // the sequence where counting began
  std::uint64_t reused = 0;    // passed, taken from the log by an unclean stop, their numbers given out once more
  std::map<std::string, std::uint64_t> reasons{};  // of what is dropped

  void drop(const std::string& reason, std::uint64_t count) {
    if (count == 0) return;
    dropped += count;
    reasons[reason] += count;
  }
};

/// What the cursor's place says minus what was counted: not 0 is a mistake of this program. Two's complement.
inline std::uint64_t imbalance(const Accounting& counts, Position passed_to) {
  std::uint64_t named = 0;
  for (const auto& [reason, count] : counts.reasons) named += count;
  if (named != counts.dropped) return named - counts.dropped;
  const std::uint64_t by_place = passed_to.sequence - counts.first + counts.reused + counts.replayed;
  return by_place - (counts.delivered + counts.filtered + counts.dropped);
}

/// Makes accounts hold at the cursor by what is not known: where counting began, and why something was dropped. For
/// accounts that a version of this program saved that did not keep all of it.
inline void complete(Accounting& counts, Position passed_to) {
  std::uint64_t named = 0;
  for (const auto& [reason, count] : counts.reasons) named += count;
  if (named > counts.dropped) counts.reasons.clear();
  if (named > counts.dropped) named = 0;
  if (named < counts.dropped) counts.reasons["unknown"] += counts.dropped - named;
  counts.first += imbalance(counts, passed_to);
}

}  // namespace tidegate::uplink
