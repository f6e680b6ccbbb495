#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <random>
#include <string>
#include <utility>

#include "core/backoff.h"
#include "core/record.h"
#include "uplink/batch_encoder.h"
#include "uplink/batch_fill.h"
#include "uplink/forwarder.h"
#include "uplink/probe_places.h"
#include "uplink/refusal_trial.h"
#include "uplink/taken_batches.h"

namespace tidegate::uplink {

/// One stream of one uplink: what is read, what is on its way, what is done, as one unbroken chain of batches and gaps
///
///   acked_to <= passed_to <= read <= announced end
///   |  batches and gaps, oldest first  |  the batch being filled  |  still in the log  |
///
/// Each batch begins where the one before ended, through what the filter left out and over epochs; only a gap breaks
/// that. A batch that is sent again covers the same stretch with the same entries; only its head (when it was sent, and
/// by which lane) is new. What is known of the clock when it is sent first corrects the times in it. The cursor moves
/// over the acknowledged beginning of the chain and nothing else. What is read: stream_reading.cc; what a target
/// refuses: stream_refusals.cc and stream_trial.cc.
///
/// Batch ids carry the stream and the attempt: a failure counts only when it is the last one's, an acknowledgement
/// whatever attempt it belongs to. Where the target keeps order, the last one's only, too: what it took behind a batch
/// that it refused goes out again behind that one. Passive; part of a Forwarder, which decides how much may be held and
/// sent.
class StreamChain {
 public:
  /// Of the forwarder; they outlive the chain.
  struct Parts {
    const ForwarderOptions& options;
    BatchEncoder& encoder;
    TagFilter& filter;
    const ClockHistory& clock;
  };
  /// `evidence` is of the stream, and outlives the chain.
  StreamChain(Stream stream, const Parts& parts, TakenBatches& evidence, std::uint64_t jitter_seed, Lane lane);

  static LaneOf lane_of(std::uint64_t batch_id);
  /// Of no stream: no chain takes it for its own.
  static std::uint64_t id_beside(std::uint64_t number);
  static bool is_beside(std::uint64_t batch_id);

  void restore(const Cursor& cursor, const Accounting& accounting, bool replay);
  /// See Forwarder::move.
  void move(const CursorMove& move);
  bool is_replay_marked() const { return replay_; }

  // For lanes; see StreamLanes.
  /// A record is on trial, and there will soon be a verdict.
  bool is_deciding() const;
  /// Something is sought that the target refuses.
  bool is_in_trial() const { return suspects_ > 0; }
  /// From here on batches say which lane they are of.
  void name_lane() { lane_named_ = true; }
  /// Goes on through a stretch of its own, and answers for it exactly to its end.
  void go_between(const SkippedStretch& stretch, bool replay);
  /// The stretch is longer than was known.
  void reach_to(Position end);
  bool is_done() const { return bounded_ && read_ >= end_ && chain_.empty(); }
  std::optional<Position> until() const { return bounded_ ? std::optional(end_) : std::nullopt; }
  /// Goes on at the end that was announced; what it had not delivered is in the answer. The mark of a replay is for
  /// whoever gets that.
  SkippedStretch leave_to_end();
  /// What the filter left out behind what was acknowledged, in this epoch, is to be read and counted again.
  void go_back_over_filtered();
  /// Where it left off, until something behind that is delivered.
  std::optional<Position> left() const { return left_; }
  void set_left(std::optional<Position> left) { left_ = left; }
  /// Moves where counting began.
  void count_from_later(std::uint64_t by) { accounting_.first += by; }

  void announce(Position end);
  /// Whether records that were announced are still to be read.
  bool is_behind() const { return !rests_ && read_ < end_; }
  /// Behind by the epoch alone: there is something only if the new epoch gave numbers out again.
  bool may_be_at_end() const { return read_.sequence >= end_.sequence; }
  Position read_position() const { return read_; }
  bool fill_is_full() const { return fill_.full(); }

  /// Takes what fits into the batch being filled and `room` more.
  void supply(const RecordBatch& batch, BootTime now, std::size_t room);
  void supply_gap(Position next, std::uint64_t lost, const std::string& reason);

  std::size_t held() const { return held_; }        // batches in the chain, whatever their state
  std::size_t waiting() const { return waiting_; }  // of these to be sent, the first time or again
  std::size_t in_flight() const { return in_flight_ + (beside_.number != 0 ? 1 : 0); }  // sent and unanswered

  /// From when on send() is possible; nothing when there is nothing to send.
  std::optional<BootTime> ready_at() const;
  /// Whether there is anything to send or to read.
  bool has_more() const { return is_behind() || waiting_ > 0 || !fill_.empty(); }
  /// How many entries send() would send, and whether these were stored while the uplink was away.
  std::uint32_t next_count() const { return next_stretch().count; }
  bool is_next_historical(BootTime now) const { return is_historical(next_stretch(), now); }
  /// The oldest waiting batch, else the one being filled. Only when ready.
  OutgoingBatch send(BootTime now, WallTime wall_now);

  /// False for what is not known or done already.
  bool acknowledge(std::uint64_t batch_id);
  /// What the last acknowledgement has shown, if anything.
  std::optional<RefusedRecord> take_refused() { return std::exchange(refused_, std::nullopt); }
  void fail(std::uint64_t batch_id, BootTime now, bool progressed = false);
  /// All in flight has to go out again, without a pause. When the link was lost again and again with the same batch the
  /// oldest without an answer, that one may be larger than what the target takes: then batches are made anew from the
  /// cursor on, half as large, and the bytes of that one are returned.
  std::optional<std::size_t> lose_link();

  /// The target takes no batch of this size: batches are made anew from the cursor on, half as large, and grow again
  /// after some that were acknowledged. Returns its bytes; nothing, and nothing changed, when it is not known or one
  /// record alone.
  std::optional<std::size_t> refuse_size(std::uint64_t batch_id);

  /// The target refuses it for what is in it; see Forwarder::failed.
  std::optional<RefusedRecord> refuse(std::uint64_t batch_id, BootTime now, const BatchFailure& how);
  /// See Forwarder.
  bool leave_out(std::uint64_t batch_id);
  void keep(std::uint64_t batch_id, BootTime now);
  std::optional<Position> record_on_trial() const;
  std::optional<RefusedRecord> put_aside(Position at);
  void count_letter();

  Cursor cursor() const { return {acked_to_, passed_to_}; }
  const Accounting& accounting() const { return accounting_; }
  ReadAhead read_ahead() const;
  std::uint64_t backlog() const;
  /// How long ago the oldest record was taken in that is not done, when there is one.
  std::optional<Duration> oldest_age(const FrameTimes& now) const;

 private:
  enum class State : std::uint8_t { waiting, in_flight, set_aside, joined, done };
  struct Link {
    bool is_gap() const { return number == 0; }

    State state = State::waiting;
    Position end;
    std::uint64_t lost = 0;  // numbers that a gap passes; of a batch 1 when its record is a dead letter
    std::string reason;      // of these; the rest is of a batch only
    std::uint64_t number = 0;
    std::uint16_t attempt = 0;
    bool sent_on_this_link = false;
    std::uint16_t links_lost = 0;  // with this the oldest that was sent and not acknowledged
    std::uint32_t refusals = 0;    // for what is in it
    bool suspect = false;          // part of what was refused often enough, or a record that is on trial
    bool is_part = false;          // of what was refused often enough
    Stretch stretch;
    std::optional<ChainEnd> prev;
    std::optional<SkippedMark> skipped;
    bool replay = false;
    std::string entries;                         // until it is sent first
    DoubtfulTimes doubts;                        // in these; then
    std::shared_ptr<const std::string> message;  // with the entries at
    std::size_t entries_at = 0;
  };

  /// What is on its way outside of the chain, because a record is on trial.
  struct Beside {
    std::uint64_t number = 0;  // 0: nothing is
    bool is_probe = false;     // else a witness
    Position at;
    std::string tag;
    std::shared_ptr<const std::string> message;
  };

  /// From `at` on numbers are given out that an earlier epoch, read before, gave out too; or just before `at` some that
  /// were given out have vanished.
  struct Reuse {
    Position at;
    std::uint64_t count = 0;
    std::uint64_t vanished = 0;
  };

  std::uint64_t id_of(std::uint64_t number, std::uint16_t attempt) const;
  bool enter(const RecordBatch& batch);
  void move_to(Position next, std::uint64_t lost, const std::string& reason);
  void begin_epoch(Position next);
  void break_chain(Position next, std::uint64_t lost, const std::string& reason);
  void vanish_to_end(std::uint64_t reached);
  void close_at_end();
  void pass(Position to);
  void seal();
  void settle();
  void take(std::size_t index);
  void count_done(const Link& link);
  std::size_t find(std::uint64_t batch_id) const;
  void rewind_from(std::size_t index);
  void fail_from(std::size_t index);
  bool is_current_attempt(std::size_t index, std::uint64_t batch_id) const;
  std::optional<RefusedRecord> refuse_record(std::size_t index, BootTime now, const std::string& answer);
  std::optional<RefusedRecord> judge();
  void refuse_empty(std::size_t index, BootTime now);
  void pause(BootTime now);
  bool split(std::size_t index);
  RefusedRecord set_aside(std::size_t index);
  void suspect(Link& link);
  Link* find_set_aside(std::uint64_t batch_id);
  std::size_t on_trial() const;
  RefusalTrial::Surroundings around() const;
  void begin_trial(const Link& link);
  void forget_trial();
  void find_witness();
  std::optional<TakenBatches::Record> find_probe(BootTime now, WallTime wall_now);
  std::optional<TakenBatches::Record> find_probe_in(const std::string& message, std::uint32_t epoch) const;
  std::optional<OutgoingBatch> send_beside(BootTime now, WallTime wall_now);
  OutgoingBatch send_alone(const char* as, const std::string& entry, std::uint32_t epoch, BootTime now,
                           WallTime wall_now);
  bool is_beside_trial(std::uint64_t batch_id) const;
  void take_beside();
  void refuse_beside(BootTime now);
  void fail_beside();
  void note_taken(const Link& link);
  void look_whether_refusing();
  void end_joined_before(std::size_t index);
  void end_untold(std::size_t index);
  std::size_t next_batch_behind(std::size_t index) const;
  void add_joined(std::size_t index, BatchHead& head) const;
  void go_on_from(const Cursor& cursor);
  void grow_again();
  BootTime waits_since() const;
  std::size_t first_waiting() const;
  const Stretch& next_stretch() const;
  bool is_historical(const Stretch& stretch, BootTime now) const;
  void put_head(Link& link, const BatchHead& head) const;
  BatchHead head_of(std::size_t index, BootTime now, WallTime wall_now) const;
  Duration age_of(const Stretch& stretch, const FrameTimes& now) const;

  const Stream stream_;
  const Lane lane_;
  const Duration delay_max_;
  const bool keeps_order_;
  const bool blames_size_;
  const std::uint32_t dead_letter_after_;
  const BatchEncoder& encoder_;
  const ClockHistory& clock_;
  BatchFill fill_;
  std::deque<Link> chain_;
  std::optional<ChainEnd> sealed_to_;  // what the last batch or the cursor covered

  Position read_;
  Position end_;
  bool bounded_ = false;  // by end_, whatever is announced
  bool lane_named_;
  std::optional<Position> left_;
  bool left_sealed_ = false;  // a batch of the chain carries the mark
  bool rests_ = false;        // the log had nothing: wait for the next announcement
  Position acked_to_;
  Position passed_to_;
  Accounting accounting_;
  std::deque<Reuse> reuses_;        // ahead of passed_to_, rising
  bool replay_ = false;             // moved by hand, and no batch from there acknowledged
  bool replay_sealed_ = false;      // a batch of the chain carries the mark
  std::uint64_t unpassed_ = 0;      // records between passed_to_ and read_
  std::uint64_t lead_counted_ = 0;  // filtered records at the chain's head that are in accounting_ already

  std::size_t held_ = 0;
  std::size_t waiting_ = 0;
  std::size_t in_flight_ = 0;
  bool goes_alone_ = false;       // until one is taken, one goes at a time
  std::size_t suspects_ = 0;      // batches: while there are any, one goes at a time
  std::size_t set_aside_ = 0;     // batches: while there is one, none goes
  TakenBatches& evidence_;        // where something may be given up
  bool is_refusing_ = false;      // something of the chain was refused, and is neither taken nor given up yet; and
  std::uint64_t fresh_from_ = 0;  // what evidence_ had counted before that
  RefusalTrial trial_;
  ProbePlaces probes_;
  std::mt19937_64 random_;
  std::string tag_;     // of the record that is on trial, and
  std::string answer_;  // to it
  std::optional<TakenBatches::Record> witness_;
  bool has_own_witness_ = false;
  Beside beside_;
  std::optional<RefusedRecord> refused_;
  BootTime seen_ = BootTime::min();  // the latest time that was told
  std::uint64_t next_number_ = 1;
  std::uint64_t round_ = 0;  // how often it went elsewhere
  Backoff backoff_;
  Backoff kept_backoff_;  // of keep()
  std::optional<BootTime> paused_until_;
  std::uint32_t grows_after_ = 0;  // acknowledged batches, since the size was refused; 0: it never was
  std::uint32_t taken_ = 0;        // of these
};

}  // namespace tidegate::uplink
