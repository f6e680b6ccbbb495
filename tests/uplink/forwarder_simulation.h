#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <random>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "tests/uplink/model_log.h"
#include "tests/uplink/parsed_batch.h"
#include "tests/uplink/receiver_oracle.h"
#include "tests/uplink/simulation_state.h"
#include "uplink/forwarder.h"
#include "uplink/stream_chain.h"

namespace tidegate::uplink::testing {

/// One gateway, one uplink, one receiver and everything that can happen between them, decided by a seed: records come,
/// are read in frames of any size, sent, delivered, acknowledged late, twice, out of order or not at all; the link
/// breaks, batches fail, the log evicts, is damaged, loses its tail; the gateway is stopped or killed and goes on from
/// what it had saved. After every step the accounts have to agree with the log.
class ForwarderSimulation : private SimulationState {
 public:
  ForwarderSimulation(std::uint64_t seed, bool link_keeps_order) : SimulationState(seed, link_keeps_order) {
    for (std::uint32_t i = 0; i < kTags; ++i) {
      tags_.intern((i % 2 == 0 ? "a/" : "b/") + std::to_string(i));
    }
    make_options();
    for (const Stream stream : kAllStreams) {
      const Position begin{1 + below(3), below(2) == 0 ? 0U : below(1000)};
      logs_.push_back(std::make_unique<ModelLog>(stream, begin));
      const bool has_lanes = options_.live_first && stream == Stream::readings;
      receivers_.push_back(std::make_unique<ReceiverOracle>(*logs_.back(), link_keeps_order, has_lanes));
      saved_[index(stream)].places.live = {begin, begin};
      saved_[index(stream)].accounting.first = begin.sequence;
    }
    start_forwarder();
  }

  void run() {
    for (int step = 0; step < kSteps && problem_.empty(); ++step) {
      do_something();
      check_accounts();
    }
    append_what_is_taken();
    const int rounds = poison_every_ == 0 ? 400 : 8'000;
    for (int round = 0; round < rounds && problem_.empty() && !is_drained(); ++round) {
      // Where all that may be held is refused nothing is given up: somebody has to correct the target.
      is_mended_ = round > rounds / 2;
      drain_some();
    }
    if (!problem_.empty()) return;
    if (!is_drained()) note("not drained");
    for (const auto& receiver : receivers_) {
      if (const std::string missing = receiver->find_missing(); !missing.empty()) note("missing " + missing);
    }
  }

  const std::string& problem() const { return problem_; }
  std::uint64_t batches() const { return batches_; }
  /// Of these that the lane live sent beside a backlog.
  std::uint64_t split() const { return split_; }
  /// Whether the target had to be corrected, because everything that it was sent was refused.
  bool is_mended() const { return is_mended_; }
  /// Records that the target never takes, all of which have become dead letters.
  std::uint64_t dead() const { return dead_; }
  std::uint64_t probes() const { return probes_; }
  std::uint64_t repeats() const {
    return receivers_[0]->repeats() + receivers_[1]->repeats() + receivers_[2]->repeats();
  }

 private:
  void start_forwarder() {
    forwarder_ = std::make_unique<Forwarder>(options_, "gw", tags_, clock_history_, random_());
    for (const Stream stream : kAllStreams) {
      const Saved& saved = saved_[index(stream)];
      forwarder_->restore(stream, saved.places, saved.accounting, saved.replay);
      announced_[index(stream)] = saved.places.live.passed_to;
      go_back(stream);
    }
    shares_.emplace(options_.weights);
    texts_.clear();
    in_flight_.clear();
    aside_.clear();
    order_ = {};
    is_up_ = false;
  }

  void do_something() {
    if (below(2) == 0) decide_on_refused();
    switch (below(16)) {
      case 0:
      case 1:
        return append();
      case 2:
        return announce();
      case 3:
      case 4:
        return read(1 + below(4));
      case 5:
      case 6:
        return send(1 + below(4));
      case 7:
      case 8:
        return deliver(1 + below(6));
      case 9:
      case 10:
        return acknowledge();
      case 11:
        return pass_time(Duration(std::chrono::milliseconds(below(1200))));
      case 12:
        return do_harm();
      case 13:
        return below(2) == 0 ? link_up() : save();
      case 14:
        return link_up();
      default:
        return do_harm();
    }
  }

  void do_harm() {
    switch (below(9)) {
      case 8:
        return move_cursor(any_stream());
      case 0:
        return link_down();
      case 1:
        return fail_one();
      case 2:
        return report_nonsense();
      case 3:
        return log(any_stream()).evict(below(25));
      case 4:
        return log(any_stream()).damage(1 + below(6), random_);
      case 5:
        return restart(false);
      case 6:
        return restart(true);
      default:
        return fail_one();
    }
  }

  void append() {
    const Stream stream = any_stream();
    for (std::uint32_t n = below(12); n > 0; --n) {
      ModelRecord record;
      const std::uint32_t tag = below(kTags);
      record.tag = TagId{tag};
      record.passes = passes(stream, tag);
      record.value = static_cast<std::int64_t>(next_value_++);
      record.poison = poison_every_ != 0 && below(poison_every_) == 0;
      log(stream).append(record);
    }
  }

  // A record that is refused, of which nobody knows whether others are taken, is given up only for what is behind it.
  void append_what_is_taken() {
    for (const Stream stream : kAllStreams) {
      for (int n = 0; n < 3; ++n) {
        ModelRecord record;
        record.tag = TagId{0};
        record.value = static_cast<std::int64_t>(next_value_++);
        log(stream).append(record);
      }
    }
  }

  void announce() {
    for (const Stream stream : kAllStreams) {
      if (below(3) == 0) continue;
      forwarder_->announce(stream, log(stream).end());
      announced_[index(stream)] = std::max(announced_[index(stream)], log(stream).end());
    }
  }

  void read(std::uint32_t times) {
    for (; times > 0; --times) {
      const auto demand = forwarder_->demand();
      if (!demand) return;
      if (demand->until && !log(demand->stream).lost_between(demand->from, *demand->until)) {
        forwarder_->supply_gap({demand->stream, demand->lane}, *demand->until, 0);
        continue;
      }
      const ModelLog::Read outcome = log(demand->stream).read(demand->from, frame_times(), random_);
      Position announced{};
      switch (outcome.kind) {
        case ModelLog::Read::Kind::ready:
          forwarder_->supply(outcome.batch, boot_, demand->lane);
          announced = outcome.batch.end();
          break;
        case ModelLog::Read::Kind::gone:
          supply_gap(*demand, outcome);
          announced = outcome.next;
          break;
        case ModelLog::Read::Kind::at_end:
          stand_at_end(demand->stream);
          break;
      }
      if (demand->lane == Lane::live) announce_to(demand->stream, announced);
    }
  }

  void announce_to(Stream stream, Position end) {
    announced_[index(stream)] = std::max(announced_[index(stream)], end);
  }

  // What is gone behind the end of a stretch is not this lane's loss.
  void supply_gap(const ReadDemand& demand, const ModelLog::Read& outcome) {
    const Position next = std::min(outcome.next, demand.until.value_or(outcome.next));
    const std::uint64_t lost = *log(demand.stream).lost_between(demand.from, next);
    forwarder_->supply_gap({demand.stream, demand.lane}, next, lost, "overflow");
  }

  // Either way is right when the log has nothing at the demanded place.
  void stand_at_end(Stream stream) {
    if (below(2) == 0) return forwarder_->supply_gap(stream, log(stream).end(), 0);
    RecordBatch nothing;
    nothing.stream = stream;
    forwarder_->supply(nothing, boot_);
  }

  void send(std::uint32_t times) {
    for (; times > 0; --times) {
      const std::set<std::size_t> ready = find_ready();
      const std::vector<SkippedStretch> left = forwarder_->lanes(Stream::readings).stretches;
      const auto batch = forwarder_->next_batch(boot_, wall_);
      if (!batch) return;
      ++batches_;
      if (forwarder_->lanes(Stream::readings).stretches != left) {
        shares_->forget_lanes_of_readings();
      } else {
        note(shares_->note_sent(lane_of(*batch), [&](LaneOf of) { return ready.contains(index(of)); }));
      }
      check_sent(*batch);
      wire_.push_back(*batch);
      in_flight_.push_back(*batch);
      if (in_flight_.size() > options_.inflight_max) note("too many in flight");
    }
  }

  void check_sent(const OutgoingBatch& batch) {
    if (!is_up_) note("sent while the link is down");
    const std::size_t payload_max = static_cast<std::size_t>(options_.batch_bytes_max);
    if (batch.count > options_.batch_readings_max) note("too many entries");
    if (batch.count > 1 && batch.payload->size() > payload_max) note("too many bytes");
    const ParsedBatch parsed = parse_batch(*batch.payload);
    if ((batch.beside != 0) == parsed.beside.empty()) note("does not say that it is no part of the chain");
    if (batch.beside != 0) return check_beside(batch, parsed);
    if (parsed.from != batch.from || parsed.to != batch.to || parsed.count != batch.count)
      note("head is not the batch");
    check_lane(batch, parsed);
    // Within a process a batch is repeated as it was, and only what failed makes it go back.
    const auto key = std::pair(index(lane_of(batch)), parsed.first());
    const auto known = texts_.emplace(key, parsed.entries_text).first;
    if (known->second != parsed.entries_text) note("repeat differs");
    auto& last = last_from_[index(lane_of(batch))];
    // What is behind a record that is refused may be tried before it.
    const bool is_of_trial = order_.is_waiting(lane_of(batch));
    if (last && parsed.first() <= *last && !is_of_trial) note("went back without a reason");
    last = parsed.first();
  }

  // A witness the target has, and a probe is a record of what lies behind the cursor.
  void check_beside(const OutgoingBatch& batch, const ParsedBatch& parsed) {
    ModelRecord* const record = log(batch.stream).find(parsed.first());
    if (parsed.count != 1 || record == nullptr) return note("a record beside the chain that there is not");
    if (parsed.entries.at(0).value != record->value) note("altered beside the chain");
    if (parsed.beside == "witness" && !record->received && !record->probed) {
      note("a witness that the target does not have");
    }
    if (parsed.beside != "probe") return;
    ++probes_;
    record->probed = true;  // or it will be, before it is a witness
    if (parsed.first() < forwarder_->cursor(batch.stream).acked_to) note("a probe of what is done");
  }

  // What is done is not sent again, and no lane sends what is the other one's.
  void check_lane(const OutgoingBatch& batch, const ParsedBatch& parsed) {
    const LanePlaces places = forwarder_->lanes(batch.stream);
    const bool is_live = lane_of(batch).lane == Lane::live;
    if (options_.live_first && batch.stream == Stream::readings && parsed.lane != (is_live ? "live" : "backlog"))
      note("says another lane");
    if (!is_live && places.stretches.empty()) return note("of a lane that is done");
    const Position acked_to = is_live ? places.live.acked_to : places.stretches[0].cursor.acked_to;
    if (parsed.last() < acked_to) note("acknowledged batch sent again");
    if (!is_live && parsed.last() >= places.stretches[0].end) note("reaches over the end of the stretch");
    if (is_live && !places.stretches.empty() && parsed.first() < places.stretches.back().end)
      note("sent in both lanes");
    if (is_live && !places.stretches.empty()) ++split_;
  }

  void deliver(std::uint32_t times) {
    for (; times > 0 && !wire_.empty(); --times) {
      const std::size_t at = link_keeps_order_ ? 0 : below(static_cast<std::uint32_t>(wire_.size()));
      const OutgoingBatch batch = wire_[at];
      wire_.erase(wire_.begin() + static_cast<std::ptrdiff_t>(at));
      const ParsedBatch parsed = parse_batch(*batch.payload);
      // A link that keeps order takes nothing behind what was refused before that comes again.
      const BatchPlace place(batch);
      if (order_.comes_too_early(place) && link_keeps_order_) {
        forwarder_->failed(batch.id, boot_);
        forget_from(batch);
        continue;
      }
      if (is_poisoned(batch.stream, parsed)) {
        refuse(batch);
        continue;
      }
      if (batch.beside == 0) note(receivers_[index(batch.stream)]->receive(parsed));
      order_.on_taken(place);
      answers_.push_back(batch);
      if (below(20) == 0) answers_.push_back(batch);
    }
  }

  bool is_poisoned(Stream stream, const ParsedBatch& batch) {
    return std::any_of(batch.entries.begin(), batch.entries.end(), [&](const auto& entry) {
      const ModelRecord* const record = log(stream).find({batch.epoch, entry.sequence});
      return record != nullptr && record->poison && !is_mended_;
    });
  }

  // Of what was forgotten by a replay since, an answer changes nothing.
  void refuse(const OutgoingBatch& refused) {
    BatchFailure how;
    how.refusal = "never";
    const auto record = forwarder_->failed(refused.id, boot_, how);
    const auto is_on_its_way = [&](const OutgoingBatch& one) {
      return std::any_of(in_flight_.begin(), in_flight_.end(), [&](const auto& batch) { return batch.id == one.id; });
    };
    const bool is_forgotten = !is_on_its_way(refused);
    // A link that keeps order takes nothing behind it either.
    std::erase_if(wire_, [&](const OutgoingBatch& batch) {
      return link_keeps_order_ && lane_of(batch) == lane_of(refused) && is_on_its_way(batch) != is_forgotten;
    });
    if (is_forgotten && record) note("gives up what is not on its way");
    if (is_forgotten) return;
    order_.on_failed(BatchPlace(refused));
    forget_from(refused);
    forget_texts(lane_of(refused));  // it may go on in parts
    give_up(record);
  }

  void give_up(const std::optional<RefusedRecord>& record) {
    if (!record) return;
    const ModelRecord* const found = log(record->stream).find(record->at);
    if (found == nullptr || !found->poison) return note("gives up another record");
    if (record->record.find("\"seq\":" + std::to_string(record->at.sequence)) == std::string::npos)
      note("gives another record away");
    aside_.push_back(*record);
  }

  // The store answers later, and is full at times.
  void decide_on_refused() {
    for (const RefusedRecord& record : std::exchange(aside_, {})) {
      if (below(4) == 0) {
        forwarder_->keep(record.batch_id, boot_);
        continue;
      }
      ModelRecord* const found = log(record.stream).find(record.at);
      dead_ += found->dead ? 0 : 1;
      found->dead = true;
      forget_texts(StreamChain::lane_of(record.batch_id));
      forwarder_->leave_out(record.batch_id);
    }
  }

  void acknowledge() {
    for (std::uint32_t n = below(4); n > 0 && !answers_.empty(); --n) {
      const std::size_t at = below(2) == 0 ? 0 : below(static_cast<std::uint32_t>(answers_.size()));
      const OutgoingBatch batch = answers_[at];
      if (below(10) != 0) answers_.erase(answers_.begin() + static_cast<std::ptrdiff_t>(at));  // else once more later
      give_up(forwarder_->acknowledged(batch.id));
      forget_in_flight(batch);
    }
  }

  // An acknowledgement of an earlier attempt counts for the later one, too.
  void forget_in_flight(const OutgoingBatch& acknowledged) {
    std::erase_if(in_flight_, [&](const OutgoingBatch& batch) { return are_same(batch, acknowledged); });
  }
  static bool are_same(const OutgoingBatch& one, const OutgoingBatch& other) {
    constexpr unsigned kAttemptBits = 16;  // of an id; what was forgotten by a replay is another batch
    return one.id >> kAttemptBits == other.id >> kAttemptBits;
  }

  // One that is in flight fails: it never arrives, or it did and its answer was lost. Over a link that keeps order what
  // is behind it does not arrive either.
  void fail_one() {
    if (in_flight_.empty()) return;
    const OutgoingBatch failed = in_flight_[below(static_cast<std::uint32_t>(in_flight_.size()))];
    const auto at = std::find_if(wire_.begin(), wire_.end(), [&](const auto& batch) { return batch.id == failed.id; });
    const auto end = at == wire_.end() || link_keeps_order_ ? wire_.end() : at + 1;
    wire_.erase(std::remove_if(at, end, [&](const auto& batch) { return lane_of(batch) == lane_of(failed); }), end);
    forwarder_->failed(failed.id, boot_);
    forget_from(failed);
  }

  // It and what is behind it in its lane goes out again.
  void forget_from(const OutgoingBatch& failed) {
    last_from_[index(lane_of(failed))].reset();
    const auto from = std::pair(failed.epoch, failed.from);
    std::erase_if(in_flight_, [&](const OutgoingBatch& batch) {
      return lane_of(batch) == lane_of(failed) && std::pair(batch.epoch, batch.from) >= from;
    });
  }

  // A replay, or a skip, to any record that was not lost by a crash. It is saved before it is answered; what was on its
  // way stays on its way, and what is answered of it later must not count.
  void move_cursor(Stream stream) {
    Position to = log(stream).end();
    const auto& records = log(stream).records();
    if (!records.empty() && below(4) != 0) {
      const ModelRecord& record = records[below(static_cast<std::uint32_t>(records.size()))];
      if (record.fate == ModelRecord::Fate::vanished) return;
      to = record.at;
    }
    const CursorMove move = log(stream).move(forwarder_->lanes(stream), to);
    forwarder_->move(stream, move);
    announced_[index(stream)] = std::max(announced_[index(stream)], to);
    std::erase_if(in_flight_, [&](const OutgoingBatch& batch) { return batch.stream == stream; });
    for (const Lane lane : kAllLanes) forget_texts({stream, lane});
    go_back(stream);
    save();
  }

  void report_nonsense() {
    const std::uint64_t id = below(2) == 0 ? random_() : below(100);
    forwarder_->acknowledged(id);
    forwarder_->failed(id, boot_);
    // A failure of an attempt that was repeated since, or of one that is done, changes nothing.
    if (wire_.empty() || answers_.empty()) return;
    const OutgoingBatch& late = answers_[below(static_cast<std::uint32_t>(answers_.size()))];
    const auto is_late = [&](const OutgoingBatch& batch) { return batch.id == late.id; };
    if (std::none_of(in_flight_.begin(), in_flight_.end(), is_late)) forwarder_->failed(late.id, boot_);
  }

  void go_back(Stream stream) {
    for (const Lane lane : kAllLanes) last_from_[index(LaneOf(stream, lane))].reset();
  }
  void forget_texts(LaneOf of) {
    std::erase_if(texts_, [&](const auto& one) { return one.first.first == index(of); });
  }

  void link_up() {
    forwarder_->link_up(boot_);
    is_up_ = true;
  }

  void link_down() {
    deliver(below(4));
    wire_.clear();
    std::erase_if(answers_, [this](const OutgoingBatch&) { return below(2) == 0; });
    std::vector<OutgoingBatch> open = in_flight_;
    std::shuffle(open.begin(), open.end(), random_);
    const bool fails_first = below(2) == 0;
    if (!fails_first) forwarder_->link_down(boot_);
    for (const OutgoingBatch& batch : open) forwarder_->failed(batch.id, boot_);
    if (fails_first) forwarder_->link_down(boot_);
    in_flight_.clear();
    is_up_ = false;
    for (const Stream stream : kAllStreams) {
      go_back(stream);
      // It may have forgotten all that it had, to make smaller batches.
      const LanePlaces places = forwarder_->lanes(stream);
      if (forwarder_->read_ahead(stream).read == places.live.passed_to) forget_texts(stream);
      const LaneOf backlog(stream, Lane::backlog);
      const bool has_backlog = !places.stretches.empty();
      if (has_backlog && forwarder_->read_ahead(backlog).read == places.stretches[0].cursor.passed_to)
        forget_texts(backlog);
    }
  }

  void save() {
    for (const Stream stream : kAllStreams) {
      saved_[index(stream)] = {forwarder_->lanes(stream), forwarder_->accounting(stream),
                               forwarder_->is_replay_marked(stream)};
    }
  }

  // Killed: the cursors are those of the last checkpoint, an epoch ends, the tail of the log may be gone, and what was
  // on the wire may still arrive.
  void restart(bool is_killed) {
    if (!is_killed) save();
    if (below(2) == 0) deliver(below(5));
    wire_.clear();
    answers_.clear();
    for (const Stream stream : kAllStreams) {
      const std::uint32_t torn = below(2) == 0 ? below(8) : 0;
      if (is_killed) log(stream).crash(torn, saved_[index(stream)].places);
    }
    start_forwarder();
    if (!is_killed) check_accounts();
  }

  void pass_time(Duration duration) {
    boot_ += duration;
    wall_ += duration;
  }

  FrameTimes frame_times() {
    const std::uint32_t age_most_ms = !is_late_at_times_ ? 9'000 : below(4) == 0 ? 60'000 : 3'000;
    FrameTimes times;
    times.wall = wall_ - std::chrono::milliseconds(below(age_most_ms));
    times.boot = boot_ - (wall_ - times.wall);
    times.quality = ClockQuality::synced;
    return times;
  }

  // accepted = delivered + filtered + dropped + pending, to the record.
  void check_accounts() {
    for (const Stream stream : kAllStreams) {
      const LanePlaces places = forwarder_->lanes(stream);
      const Cursor cursor = forwarder_->cursor(stream);
      const Accounting accounting = forwarder_->accounting(stream);
      std::uint64_t passed = 0;
      std::uint64_t pending = 0;
      for (const ModelRecord& record : log(stream).records()) {
        if (!record.is_counted) continue;
        if (is_passed(places, record.at)) {
          ++passed;
        } else if (record.fate == ModelRecord::Fate::vanished) {
          // What the filter left out may be un-passed when the lane live leaves it; there it is not any more.
          log(stream).find(record.at)->is_counted = false;
        } else if (record.at < announced_[index(stream)]) {
          ++pending;
        }
      }
      const std::string where = std::string(to_string(stream)) + " at " + describe(cursor.passed_to) + ": ";
      Position place = places.live.passed_to;
      for (const auto& stretch : places.stretches)
        place.sequence -= stretch.end.sequence - stretch.cursor.passed_to.sequence;
      if (imbalance(accounting, place) != 0) note(where + "counts and place do not agree");
      passed += log(stream).moved_over();
      const std::uint64_t accounted = accounting.delivered + accounting.filtered + accounting.dropped;
      if (accounted != passed) note(where + "accounted " + std::to_string(accounted) + " of " + std::to_string(passed));
      if (cursor.acked_to > cursor.passed_to) note(where + "acknowledged beyond passed");
      if (log(stream).reuses_numbers_behind(cursor.passed_to.epoch)) continue;
      const std::uint64_t backlog = forwarder_->backlog(stream);
      if (backlog != pending) note(where + "backlog " + std::to_string(backlog) + " not " + std::to_string(pending));
    }
  }

  bool is_drained() const {
    for (const Stream stream : kAllStreams) {
      if (forwarder_->backlog(stream) != 0 || forwarder_->demand()) return false;
      if (!forwarder_->lanes(stream).stretches.empty()) return false;
      if (announced_[index(stream)] < logs_[index(stream)]->end()) return false;
    }
    return true;
  }

  void drain_some() {
    for (const Stream stream : kAllStreams) {
      forwarder_->announce(stream, log(stream).end());
      announced_[index(stream)] = std::max(announced_[index(stream)], log(stream).end());
    }
    link_up();
    read(20);
    send(20);
    deliver(100);
    decide_on_refused();
    for (const OutgoingBatch& batch : std::exchange(answers_, {})) {
      give_up(forwarder_->acknowledged(batch.id));
      forget_in_flight(batch);
    }
    pass_time(std::chrono::milliseconds(500));
    check_accounts();
  }
};

}  // namespace tidegate::uplink::testing
