#pragma once

#include <optional>
#include <vector>

#include "buffer/recorded_gaps.h"

namespace tidegate::buffer {

/// What opening knows of readings that were dropped on purpose, so that it does not take them for damage: by the state
/// database, and by the gap records in `events`. Those are read only when it matters. Used while opening only.
class KnownDrops {
 public:
  KnownDrops(FileSystem& files, std::vector<DroppedRange> saved) : files_(files), saved_(std::move(saved)) {}

  /// Where gap records are to be looked for, once that stream is recovered; from `newest` on those that an unclean stop
  /// can have left behind the state database's back.
  void set_events(LogSnapshot events, Position newest);

  /// All that is known of, rising.
  std::vector<SequenceRange> all(Stream stream);
  /// The same without the gap records that the state database had heard of when it was last saved.
  std::vector<SequenceRange> newest(Stream stream);
  /// All gap records of a stream, those of other reasons too.
  std::vector<RecordedGap> recorded(Stream stream);
  /// Whatever is missing and no news: dropped on purpose, or found gone by an earlier start. Rising.
  std::vector<SequenceRange> told(Stream stream);
  /// Those that only the state database knows of.
  std::vector<Loss> unrecorded(Stream stream);
  /// Those of which the record in `events` may not be durable: it stands before the sequence events_end().
  std::vector<Loss> newly_recorded(Stream stream);
  std::uint64_t events_end() const { return events_.end; }

 private:
  const std::vector<RecordedGap>& recorded();
  const std::vector<RecordedGap>& newest_recorded();
  std::vector<SequenceRange> joined(Stream stream, const std::vector<RecordedGap>& gaps) const;

  FileSystem& files_;
  std::vector<DroppedRange> saved_;
  LogSnapshot events_;
  Position newest_;
  std::optional<std::vector<RecordedGap>> recorded_;
  std::optional<std::vector<RecordedGap>> newest_recorded_;
};

}  // namespace tidegate::buffer
