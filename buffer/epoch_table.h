#pragma once

#include <cstdint>
#include <vector>

#include "buffer/ring_log.h"

namespace tidegate::buffer {

struct EpochStart {
  std::uint32_t epoch = 0;
  std::uint64_t first = 0;
};

/// Which epoch gave out which sequences of one stream. Sequences go on over epochs, so a sequence alone names a stored
/// record; the epoch matters for positions that name records an unclean stop took away.
class EpochTable {
 public:
  /// Epochs may come in any order; of an epoch named twice the lower first counts.
  void add(std::uint32_t epoch, std::uint64_t first);
  /// Forgets all but the newest epochs: those from the one of `oldest` on, and some before it.
  void forget_before(std::uint64_t oldest);

  bool empty() const { return starts_.empty(); }
  std::uint32_t newest() const { return starts_.empty() ? 0 : starts_.back().epoch; }
  /// The lowest sequence that is known of; 0 when none is.
  std::uint64_t first() const { return starts_.empty() ? 0 : starts_.front().first; }
  std::uint32_t epoch_of(std::uint64_t sequence) const;
  Position at(std::uint64_t sequence) const { return {epoch_of(sequence), sequence}; }
  /// The first sequence at or behind the position; at most `end`, the sequence behind the last record. A position
  /// behind the last record of its epoch means the first of the next epoch.
  std::uint64_t sequence_of(Position position, std::uint64_t end) const;
  /// The last sequence of the epoch that `sequence` belongs to.
  std::uint64_t last_of(std::uint64_t sequence, std::uint64_t end) const;
  std::vector<EpochRange> ranges(Stream stream, std::uint64_t end) const;

 private:
  std::vector<EpochStart> starts_;  // rising in both
};

}  // namespace tidegate::buffer
