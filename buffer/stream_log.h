#pragma once

#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "buffer/batch_decoder.h"
#include "buffer/damage_reports.h"
#include "buffer/disk_reader.h"
#include "buffer/drop_ledger.h"
#include "buffer/epoch_table.h"
#include "buffer/frame_builder.h"
#include "buffer/memory_tail.h"
#include "buffer/recovery.h"
#include "buffer/ring_log.h"
#include "buffer/segment_format.h"
#include "buffer/segment_rewriter.h"
#include "buffer/sync_job.h"

namespace tidegate::buffer {

/// A segment file that the log has no use for any more, and what must be durable before it may go.
struct Condemned {
  std::uint64_t number = 0;
  std::uint64_t bytes = 0;
  std::vector<Loss> losses;  // not yet recorded; while there are any, the file stays
  Stream waits_for = Stream::events;
  std::uint64_t until = 0;     // durable end of that stream
  bool from_before = false;    // an earlier process may have recorded its losses
  bool is_dense_name = false;  // the file's
};

/// One stream of the ring log: its segments, the writer at their end, its newest frames in memory, its retention.
///
/// Works with sequences; the epoch table turns them into positions and back. Where a file fails (a write, or a sync),
/// that file is never written or synced again: what was not durable is written anew into the next segment, from memory,
/// and from the old file where it is not in memory. Until that works, append() returns an error. Core thread.
class StreamLog {
 public:
  /// What all streams share; outlives them.
  struct Shared {
    FileSystem& files;
    const Clock& clock;
    TagRegistry& tags;
    RingLogOptions options;
    LogId log_id{};
    BootId boot_id{};
    std::uint32_t epoch = 0;
    std::shared_ptr<DamageReports> damage = std::make_shared<DamageReports>();
    LogCounters counters;
  };

  StreamLog(Shared& shared, RecoveredStream recovered, Position known_durable);
  StreamLog(const StreamLog&) = delete;
  StreamLog& operator=(const StreamLog&) = delete;

  Result<Position> append(const Records& records, const FrameTimes& times, std::span<const QueueMark> marks);
  const std::vector<QueueMark>& queue_marks() const { return marks_; }

  Position oldest() const { return epochs_.at(oldest_sequence()); }
  Position end() const { return epochs_.at(next_); }
  Position durable() const { return epochs_.at(durable_); }
  std::uint64_t durable_sequence() const { return durable_; }
  std::uint64_t end_sequence() const { return next_; }
  std::vector<EpochRange> epochs() const { return epochs_.ranges(stream_, next_); }
  std::uint64_t stored() const;
  std::uint64_t bytes() const;

  ReadOutcome read(Position from);
  LogSnapshot snapshot() const;
  std::uint64_t distance(Position from, Position to) const;
  /// The parts of the range that are not stored, rising.
  std::vector<SequenceRange> missing(SequenceRange range) const;

  void set_passed(Position passed);
  StreamFill fill() const;
  const EvictionLosses& evicted() const { return evicted_; }
  /// Gives up what was taken in before `limit`, as far as the log knows that for certain and it is durable.
  void evict_older(WallTime limit);
  /// What was dropped on purpose and has no durable gap record yet.
  DropLedger& drops() { return drops_; }
  const DropLedger& drops() const { return drops_; }
  /// Ends dropping if there is room again.
  void close_drops();
  /// Since when the oldest record that is written and not durable is written.
  std::optional<BootTime> undurable_since() const { return undurable_since_; }
  /// The latest wall time of the newest segment that has frames, and of all segments.
  std::optional<WallTime> newest_wall() const;
  std::optional<WallTime> latest_wall() const;
  /// What was found damaged and is not recorded as a gap yet.
  std::vector<Loss> take_losses() { return std::exchange(losses_, {}); }
  /// The part of the losses that not every uplink had passed, and that `recorded` (rising) does not hold.
  std::vector<Loss> to_record(const std::vector<Loss>& losses, std::span<const SequenceRange> recorded) const;
  Position position_of(std::uint64_t sequence) const { return epochs_.at(sequence); }
  std::uint64_t sequence_of(Position position) const { return epochs_.sequence_of(position, next_); }
  std::uint64_t oldest_sequence() const { return segments_.empty() ? next_ : segments_.front().content.first; }
  std::uint32_t epoch_of(std::uint64_t sequence) const { return epochs_.epoch_of(sequence); }
  std::vector<Condemned>& condemned() { return condemned_; }
  const std::vector<Condemned>& condemned() const { return condemned_; }
  /// The gap records for a loss.
  std::vector<std::string> describe(const Loss& loss) const;
  /// Takes in what a reader found. False when it was known.
  bool add_damage(SequenceRange range);
  void keep_loss(Loss loss) { losses_.push_back(std::move(loss)); }

  bool has_unsynced() const { return !unsynced_.empty() || unsynced_active_; }
  /// Whether a full segment waits for its sync and its footer.
  bool has_full_segment() const;
  /// Whether a segment may go as soon as what it waits for in `stream` is durable.
  bool waits_for(Stream stream, std::uint64_t durable) const;
  BootTime unsynced_since() const { return unsynced_since_; }
  /// Syncs fail again and again: not before this.
  BootTime syncs_not_before() const { return syncs_not_before_; }
  /// When a failed file is to be replaced again.
  std::optional<BootTime> retry_at() const { return failure_ ? std::optional(retry_at_) : std::nullopt; }
  void retry_replacement(BootTime now);
  /// After a full disk: tries with one more segment, now and then.
  void lift_cap(BootTime now);
  /// Why nothing can be written or synced now.
  const std::optional<Error>& failure() const { return failure_ ? failure_ : sync_failure_; }
  void start_sync(StreamWork& work, BootTime now);
  /// When there is work beside syncs; `durable` by stream.
  std::optional<BootTime> tasks_at(const std::array<std::uint64_t, kStreamCount>& durable) const;
  void start_tasks(StreamWork& work, const std::array<std::uint64_t, kStreamCount>& durable);
  /// Whether durable() moved.
  bool finish(StreamWork& work);
  /// The oldest sealed segment that may be worth rewriting.
  std::optional<RewriteRequest> next_rewrite();
  void finish_rewrite(const SegmentRewriter& done);

 private:
  struct Stored {
    std::uint64_t number = 0;
    std::uint64_t bytes = 0;      // of the file
    std::uint64_t footer_at = 0;  // 0 while there is none
    SegmentContent content;
    bool is_copy = false;  // begun to replace a failed file
    FrameTimes begun{};    // when its first record was taken in; as good as its clock quality
    bool begun_in_other_boot = false;
    bool dense = false;  // rewritten
    bool tried = false;  // to be rewritten, and was not worth it
  };
  struct Spare {
    std::uint64_t number = 0;
    std::shared_ptr<File> file;
    bool recycled = false;
  };
  /// The newest of segments_, while it can take frames.
  struct Active {
    SegmentIdentity identity;
    std::shared_ptr<File> file;
    std::uint64_t offset = kBlockBytes;
    std::uint64_t reserved = 0;
    std::uint64_t limit = 0;
  };
  struct Unsynced {
    std::uint64_t number = 0;
    std::shared_ptr<File> file;
    bool is_full = false;
    ByteRange again{};
  };
  /// What an attempt to write the tail anew changes, as it was before.
  struct BeforeReplacement {
    std::deque<Stored> segments;
    std::vector<Condemned> condemned;
    std::vector<SequenceRange> missing;
    std::vector<Loss> losses;
    EpochTable epochs;
    std::vector<Unsynced> unsynced;
    bool unsynced_active = false;
    ByteRange active_again{};
    std::optional<Active> active;
    MemoryTail tail;
  };

  // stream_log.cc
  std::string path(std::uint64_t number) const;
  std::string path(const Condemned& one) const;
  std::uint64_t missing_in(SequenceRange range) const;
  void add_missing(SequenceRange range);
  Loss damage_in(SequenceRange range) const;
  std::uint64_t whole_bytes(const LoadedSegment& segment) const;
  void take_segments(RecoveredStream& recovered);
  void take_spares(RecoveredStream& recovered);
  bool restore_header(const LoadedSegment& segment, const std::vector<QueueMark>& marks) const;
  ByteRange undurable_part(const LoadedSegment& segment) const;
  void seal_recovered();
  void resume(const LoadedSegment& segment);
  ReadOutcome gone(std::uint64_t from, std::uint64_t to) const;
  ReadOutcome read_memory(std::uint64_t sequence);
  std::shared_ptr<const RecordBatch> decode_memory(std::uint64_t sequence);

  // stream_writer.cc
  Result<void> check(const Records& records, std::span<const QueueMark> marks) const;
  void withdraw(std::uint64_t first, const Error& why);
  void shrink_tail();
  Result<void> write_run(FrameRun run);
  Error no_room_in_empty_segment(const FrameRun& run) const;
  Result<void> write_built();
  void commit_built();
  Result<void> make_room(std::uint64_t bytes);
  Result<void> roll(std::uint64_t first, const FrameTimes& times);
  Result<Spare> take_spare();
  void seal_active();
  void mark_unsynced();
  void fail_tail(const Error& why);
  bool replace_tail();
  BeforeReplacement take_for_replacement();
  void restore(BeforeReplacement before);
  void cut_tail(std::uint64_t from, std::uint64_t end);
  Result<void> write_again(std::uint64_t from, std::uint64_t end, LogReader& reader, const MemoryTail& memory);
  Result<void> write_batch(const RecordBatch& batch);

  // stream_overflow.cc
  bool keeps_unpassed() const;
  bool may_evict(const Stored& segment) const;
  bool has_room_to_roll();
  Error ring_is_full();
  bool drops_now();
  Position drop(const Records& records, const FrameTimes& times, std::span<const QueueMark> marks);
  void take_durable(std::uint64_t target);

  // stream_retention.cc
  std::uint64_t capacity() const;
  std::uint64_t segments_bytes() const;
  std::uint64_t condemned_bytes() const;
  void lower_capacity();
  bool wants_spare() const;
  bool keeps_for_reuse(const Condemned& one) const;
  bool keeps_a_file() const;
  void enforce_size();
  struct EvictionReason {
    const char* name;
    std::uint64_t EvictionLosses::*counted;
  };
  void condemn_oldest(const EvictionReason& reason);
  void condemn(const Stored& segment, std::uint64_t until_durable);
  bool is_removable(const Condemned& one, const std::array<std::uint64_t, kStreamCount>& durable) const;
  void add_spare_task(StreamWork& work, const std::array<std::uint64_t, kStreamCount>& durable);
  FileSync sync_of(const Unsynced& one) const;
  std::uint64_t make_to(std::uint64_t made) const;
  void finish_task(SegmentTask& task);
  void take_made(SegmentTask& task);

  // stream_rewrite.cc
  bool is_rewritable(const Stored& segment) const;
  Stored* find_segment(std::uint64_t number);
  void add_replacement(StreamWork& work);
  void finish_replacement(const SegmentTask& task);

  Shared& shared_;
  Stream stream_;
  std::string directory_;
  std::uint64_t segment_bytes_;
  FrameBuilder builder_;
  BatchDecoder decoder_;

  std::deque<Stored> segments_;
  std::optional<Active> active_;
  std::optional<Spare> spare_;
  bool preparing_spare_ = false;
  std::optional<SegmentTask> making_;  // begun by a job; the next one goes on
  std::uint64_t next_number_ = 1;
  std::uint64_t capacity_cap_ = UINT64_MAX;  // lowered when the disk is full
  BootTime capped_at_{};

  EpochTable epochs_;
  std::uint64_t next_ = 1;       // sequence of the next record
  std::uint64_t opened_at_ = 1;  // what it was when the log was opened
  std::uint64_t durable_ = 1;    // sequence behind the last durable record
  std::uint64_t passed_ = 0;
  std::vector<SequenceRange> missing_;  // rising, at or behind the oldest record
  std::vector<QueueMark> marks_;

  MemoryTail tail_;
  std::deque<std::shared_ptr<const RecordBatch>> decoded_;  // the last few, for the next consumer

  std::vector<Unsynced> unsynced_;  // files before the active one
  bool unsynced_active_ = false;
  ByteRange active_again_;  // as in Unsynced
  bool directory_changed_ = false;
  BootTime unsynced_since_{};
  std::uint64_t rewrites_to_ = 0;  // for the segments that are begun while the tail is written anew
  std::uint64_t generation_ = 0;   // grows when the tail is written anew; results of older syncs do not count
  bool file_failed_ = false;       // by the write under way
  std::optional<Error> failure_;
  BootTime retry_at_{};
  std::uint32_t sync_failures_ = 0;    // in a row
  std::optional<Error> sync_failure_;  // after more than one of them
  BootTime syncs_not_before_{};

  DropLedger drops_;
  EvictionLosses evicted_;
  bool found_full_ = false;  // by the write under way
  bool refuses_ = false;     // the newest append was refused because the ring is full
  std::optional<BootTime> undurable_since_;

  std::vector<Condemned> condemned_;
  BootTime tasks_at_{};  // not before: the last ones failed
  std::vector<Loss> losses_;

  /// A segment's new file, which waits for its place or is on its way to it.
  struct Replacement {
    std::uint64_t number = 0;
    std::uint64_t bytes = 0;
    SegmentContent content;
    bool is_out = false;
  };
  std::optional<Replacement> replacement_;
  BootTime rewrites_at_{};  // not before: the disk failed
};

}  // namespace tidegate::buffer
