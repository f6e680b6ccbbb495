#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "core/clock_history.h"
#include "core/record.h"
#include "core/tag.h"
#include "uplink/accounting.h"
#include "uplink/lane.h"
#include "uplink/options.h"

namespace tidegate::uplink {

/// How far an uplink is in one stream; what the state database keeps. Both name the next record not yet covered.
struct Cursor {
  Position acked_to;   // an unbroken chain of what the target acknowledged
  Position passed_to;  // that, and what the filter left out
  bool operator==(const Cursor&) const = default;
};

/// What the lane live left out: from the cursor, which the lane backlog moves, to `end`.
struct SkippedStretch {
  Cursor cursor;
  Position end;
  bool operator==(const SkippedStretch&) const = default;
};

/// How far the lanes of a stream are; what the state database keeps where there is more than one cursor.
struct LanePlaces {
  Cursor live;
  std::vector<SkippedStretch> stretches{};  // rising, all before `live`
  std::optional<Position> left_at{};        // where the lane live left off, until it has delivered what is behind that
  bool operator==(const LanePlaces&) const = default;
};

/// Moves a cursor by hand. What is counted: records that are given again, those that are skipped, and numbers that were
/// passed and given out once more behind the cursor's epoch.
struct CursorMove {
  Position to;
  std::uint64_t replayed = 0;
  std::uint64_t skipped = 0;
  std::uint64_t reused = 0;
  std::map<std::string, std::uint64_t> lost{};  // by reason: on the way to where it goes, and gone from the log
  /// It is the target that says where the cursor is: what is on the way there it has, lost here or not, and nothing is
  /// marked as a replay.
  bool is_by_target = false;
};

/// What an uplink has read of a stream, and what it found gone there that accounting() does not have yet, because
/// something before it is still on its way.
struct ReadAhead {
  Position read;
  std::map<std::string, std::uint64_t> lost{};  // by reason
};

/// One batch on its way. `payload` is the complete message (interface "batch payload", format json, version 1).
struct OutgoingBatch {
  std::uint64_t id = 0;  // of this process; goes into acknowledged() and failed()
  Stream stream = Stream::readings;
  std::uint32_t epoch = 0;
  std::uint64_t from = 0;
  std::uint64_t to = 0;
  std::uint32_t count = 0;
  std::shared_ptr<const std::string> payload;  // kept for a repeat
  bool replay = false;     // the first one from where the cursor was moved to: what was sent before does not come again
  std::uint64_t link = 0;  // how often the link had come up when it was sent
  /// How often its chain had gone elsewhere when it was made: what is of an earlier round does not come again.
  std::uint64_t round = 0;
  /// Not 0: it stands outside of the chain, and this is for whoever knows requests by a key of their own.
  std::uint64_t beside = 0;
  Lane lane = Lane::live;  // as its payload says
};

/// How a batch failed, where more is known than that it did.
struct BatchFailure {
  bool too_large = false;   // the target takes none of that size
  Duration retry_after{};   // the target wants nothing before that is over
  std::string refusal{};    // the target takes none with what is in it: what it says. Empty: that is not known
  bool progressed = false;  // the target has taken a part that will not come again
  bool operator==(const BatchFailure&) const = default;
};

/// A record that the target refuses for good. It stays where it is until leave_out() or keep().
struct RefusedRecord {
  std::uint64_t batch_id = 0;  // of the batch that held it alone
  Stream stream = Stream::readings;
  Position at;
  std::string record{};  // as an entry of a batch has it: JSON
  std::string answer{};  // of the target
  std::uint32_t tries = 0;
  bool operator==(const RefusedRecord&) const = default;
};

/// What a forwarder wants to read next.
struct ReadDemand {
  Stream stream = Stream::readings;
  Position from;
  Lane lane = Lane::live;
  std::optional<Position> until{};  // the lane wants nothing from there on
};

/// One uplink's consumer: reads streams in sequence order, filters, makes batches, keeps several in flight, moves the
/// cursor over the contiguous acknowledged prefix only, and repeats what failed, in order. Alarms and events go before
/// readings, and with live-first what is current before the backlog, but no lane that has something to send falls back
/// behind its weight by more than two batches, and the backlog has its part of what may be in flight. Memory is bounded
/// by inflight_max batches and one that is being filled, however long the outage. Passive: no thread, no timer, no
/// socket, no disk. Core thread.
///
/// Use: while demand() wants something, read it from the log and supply() or supply_gap() it; while next_batch() gives
/// one, send it; report acknowledged() or failed(); call again at next_deadline().
class Forwarder {
 public:
  /// `clock` corrects the times of records that were taken in before their clock was set; it outlives the forwarder.
  Forwarder(ForwarderOptions options, std::string gateway, const TagRegistry& tags, const ClockHistory& clock,
            std::uint64_t jitter_seed);
  ~Forwarder();

  /// Where to begin. Call once a stream, before anything else.
  /// `replay`: the next batch is to carry the mark of a replay, because the one that had it was not acknowledged yet.
  void restore(Stream stream, const Cursor& cursor, const Accounting& accounting, bool replay = false);

  /// The same where lanes are apart.
  void restore(Stream stream, const LanePlaces& places, const Accounting& accounting, bool replay);

  /// Goes on at another place, as if that were the cursor; all that was read or is on its way is forgotten, and what is
  /// reported of it later changes nothing. The first batch from there carries the mark of a replay.
  void move(Stream stream, const CursorMove& move);
  /// Whether the mark of a replay is still to be acknowledged.
  bool is_replay_marked(Stream stream) const;

  /// The stream and place to read next; nothing while there is no room, or when all that was announced is read.
  std::optional<ReadDemand> demand() const;
  /// The same as if there were none of these lanes.
  std::optional<ReadDemand> demand_without(const std::vector<LaneOf>& lanes) const;
  /// The same for one lane, whoever comes before it.
  std::optional<ReadDemand> demand(LaneOf of) const;
  /// There are records in `stream` up to `end` (exclusive).
  void announce(Stream stream, Position end);
  /// The records at the demanded place. Only batches that begin at the demanded sequence or cover it; a batch of a
  /// later epoch begins a new chain with "prev". A batch without records says that the log has nothing there (a new
  /// epoch can begin with nothing): the stream is then asked for again when more is announced.
  void supply(const RecordBatch& batch, BootTime now, Lane lane = Lane::live);
  /// The log holds nothing between the demanded place and `next` any more (evicted or damaged): `lost` records are
  /// counted as dropped for that reason and the chain goes on at `next`; the log's gap record tells the receiver.
  /// Of a lane that wants nothing behind a place, `lost` is what is missing before that.
  void supply_gap(LaneOf of, Position next, std::uint64_t lost, const std::string& reason = "unknown");

  /// The next batch to hand to the transport, or nothing: the link is down, all in flight, waiting for more records
  /// until the delay is over, or backing off. `sent` is `wall_now`.
  std::optional<OutgoingBatch> next_batch(BootTime now, WallTime wall_now);

  /// The target has the batch. Unknown ids and repeats are ignored. What it has may show that a record that it refuses
  /// is to blame for that: see failed().
  std::optional<RefusedRecord> acknowledged(std::uint64_t batch_id);
  /// The target does not have it, or it is unknown: this one and all behind it in its stream go out again, after a
  /// pause, which grows unless it took a part. Where it was too large, demand() goes back to the cursor and batches
  /// from there on are half as large, which they grow out of later; one record alone cannot be made smaller. Where the
  /// target said how long it wants nothing, no stream sends before that.
  /// What the target refuses for what is in it `dead_letter_after` times is sent in halves, one batch at a time, and
  /// these in halves, until it is one record. That is tried in turn with what the target has taken before, and with
  /// some of what is behind it, and is given up when it is to blame (RefusalTrial): that is the answer, here or of
  /// acknowledged(), and nothing of its stream is sent until leave_out() or keep().
  std::optional<RefusedRecord> failed(std::uint64_t batch_id, BootTime now, const BatchFailure& how = {});
  /// Of a batch of a chain, or of what was sent beside it because a record is on trial: whose chain that is. A stream
  /// that is one chain has the lane live, whatever its batches say.
  static LaneOf lane_of(std::uint64_t batch_id);
  /// The record is kept elsewhere, durably: it is dropped as a dead letter once a batch without entries, which comes in
  /// its place and answers for its number, is acknowledged; where the target refuses that too, with the next batch,
  /// which then begins where that one began. False: it is forgotten, as by a move, and nothing is changed.
  bool leave_out(std::uint64_t batch_id);
  /// It could not be kept: it is sent again after a pause, and comes back at the next refusal.
  void keep(std::uint64_t batch_id, BootTime now);
  /// The record of the stream that is refused alone, as long as it is not decided whether it is to blame.
  std::optional<Position> on_trial(Stream stream) const;
  std::optional<Position> on_trial(LaneOf of) const;
  /// That one is to blame, as somebody says who has looked at it. Nothing when it is not `at`.
  std::optional<RefusedRecord> put_aside(Stream stream, Position at);

  /// A record that was given up, as a batch outside of the chain, whatever else is on its way. Its id is none of those
  /// that acknowledged() and failed() know.
  OutgoingBatch make_letter(Stream stream, Position at, std::string record, WallTime wall_now);
  /// The target has it now: it counts as asked for again, and delivered.
  void count_letter(Stream stream);
  static bool is_letter(std::uint64_t batch_id);

  void link_up(BootTime now);
  /// Everything in flight is unknown: it goes out again when the link is up. Where that was so some times in a row with
  /// the same batch the oldest, it may be too large for the target: demand() then goes back to the cursor, and batches
  /// from there on are half as large.
  void link_down(BootTime now);

  /// Nothing of the stream is sent before that; the last word counts.
  void hold(Stream stream, BootTime until);

  /// Whether next_batch() may give one of that lane now, whoever comes before it.
  bool is_ready(LaneOf of, BootTime now) const;
  /// When next_batch() may give something without new input.
  std::optional<BootTime> next_deadline() const;

  /// The oldest; all that is not passed lies behind it.
  Cursor cursor(Stream stream) const;
  LanePlaces lanes(Stream stream) const;
  /// Of both lanes together.
  Accounting accounting(Stream stream) const;
  ReadAhead read_ahead(LaneOf of) const;
  /// Records not yet acknowledged nor filtered, up to what was announced.
  std::uint64_t backlog(Stream stream) const;
  /// How long ago the oldest record that is not yet acknowledged was taken in, when it is known.
  std::optional<Duration> oldest_age(const FrameTimes& now) const;

  const ForwarderOptions& options() const;

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace tidegate::uplink
