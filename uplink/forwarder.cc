#include "uplink/forwarder.h"

#include <algorithm>
#include <array>
#include <random>
#include <utility>

#include "core/log.h"
#include "uplink/backlog_window.h"
#include "uplink/batch_encoder.h"
#include "uplink/link_pace.h"
#include "uplink/stream_lanes.h"
#include "uplink/stream_turns.h"
#include "uplink/tag_filter.h"
#include "uplink/token_bucket.h"

namespace tidegate::uplink {
namespace {

// Records, if there are as many.
constexpr std::size_t kReadForTrial = 64;

std::size_t index_of(Stream stream) { return static_cast<std::size_t>(stream); }

ForwarderOptions checked(ForwarderOptions options) {
  options.inflight_max = std::max(options.inflight_max, std::uint32_t{1});
  for (std::uint32_t LaneWeights::*const weight : {&LaneWeights::alarms, &LaneWeights::live, &LaneWeights::backlog}) {
    options.weights.*weight = std::max(options.weights.*weight, std::uint32_t{1});
  }
  return options;
}

}  // namespace

// Decides among the streams: who is read, who is sent, how much is held.
class Forwarder::Impl {
 public:
  Impl(ForwarderOptions options, const std::string& gateway, const TagRegistry& tags, const ClockHistory& clock,
       std::uint64_t jitter_seed)
      : options_(checked(std::move(options))),
        encoder_(gateway, tags),
        filter_(options_.tags, tags),
        pace_(options_.retry_first, options_.retry_most, jitter_seed),
        turns_(options_.weights),
        random_(jitter_seed) {
    if (options_.backfill_rate > 0) {
      bucket_.emplace(options_.backfill_rate, std::max<double>(options_.backfill_rate, options_.batch_readings_max));
    }
    if (options_.live_first) window_.emplace(options_.inflight_max);
    for (const Stream stream : options_.streams) {
      auto& lanes = lanes_[index_of(stream)];
      if (lanes) continue;
      const std::uint64_t seed = jitter_seed + 1 + static_cast<std::uint64_t>(stream);
      lanes = std::make_unique<StreamLanes>(stream, StreamChain::Parts{options_, encoder_, filter_, clock}, seed);
    }
  }

  StreamLanes* lanes(Stream stream) const { return lanes_[index_of(stream)].get(); }
  StreamChain* chain(LaneOf of) const {
    StreamLanes* const l = lanes(of.stream);
    return l == nullptr ? nullptr : &l->chain(of.lane);
  }

  std::optional<ReadDemand> demand(LaneOf of) const {
    const StreamChain* const c = chain(of);
    if (c == nullptr || !c->is_behind() || !has_room_for(of)) return std::nullopt;
    return ReadDemand{of.stream, c->read_position(), of.lane, c->until()};
  }

  // A stream that may have nothing but a new epoch comes last: asking for it in vain must not keep the others waiting.
  std::optional<ReadDemand> demand_without(const std::vector<LaneOf>& left_out) const {
    const auto is_left_out = [&](LaneOf of) {
      return std::find(left_out.begin(), left_out.end(), of) != left_out.end();
    };
    for (const Stream stream : StreamTurns::kDuePriority) {
      for (const Lane lane : turns_.lane_order(stream)) {
        if (is_left_out({stream, lane})) continue;
        if (turns_.is_due(stream) && needs_reading({stream, lane})) return demand(LaneOf(stream, lane));
      }
    }
    for (const bool doubtful : {false, true}) {
      for (const Stream stream : StreamTurns::kPriority) {
        for (const Lane lane : turns_.lane_order(stream)) {
          if (is_left_out({stream, lane})) continue;
          const auto wanted = demand(LaneOf(stream, lane));
          if (wanted && chain({stream, lane})->may_be_at_end() == doubtful) return wanted;
        }
      }
    }
    return std::nullopt;
  }

  // How many batches may be made before there is an acknowledgement.
  std::size_t room() const {
    const std::size_t held = sum(&StreamChain::held);
    return pace_.is_up() && held < options_.inflight_max ? options_.inflight_max - held : 0;
  }

  // How many of these a lane may make. What goes at a limited rate makes none ahead of time: waiting for its time it
  // would take the room of others.
  std::size_t room_to_supply(LaneOf of) const {
    const std::size_t room = is_limited(of) ? 0 : room_for(of);
    return std::max(room, room_in_trial(*chain(of)));
  }

  std::optional<OutgoingBatch> next_batch(BootTime now, WallTime wall_now) {
    seen_ = std::max(seen_, now);
    if (window_) {
      for (const std::uint64_t id : std::exchange(answered_, {})) window_->acknowledged(id, now);
    }
    leave_what_is_late(now);
    const auto of = choose(now);
    if (!of) return std::nullopt;
    StreamChain& c = *chain(*of);
    const StreamLanes* const readings = lanes(Stream::readings);
    turns_.count(*of, {.readings = has_more(Stream::readings),
                       .events = has_more(Stream::events),
                       .backlog = readings != nullptr && readings->has_backlog()});
    pace_.sent();
    const bool takes_tokens = is_limited(*of) && c.is_next_historical(now);
    OutgoingBatch batch = c.send(now, wall_now);
    batch.link = pace_.links();
    if (takes_tokens) bucket_->take(batch.count, now);
    if (window_ && of->lane == Lane::backlog) window_->sent(batch.id, batch.payload->size(), c.in_flight(), now);
    return batch;
  }

  bool is_ready(LaneOf of, BootTime now) const {
    const auto ready = ready_at(of, std::max(seen_, now));
    return ready && *ready <= now;
  }

  std::optional<BootTime> next_deadline() const {
    std::optional<BootTime> deadline;
    for (const Stream stream : StreamTurns::kPriority) {
      for (const Lane lane : kAllLanes) {
        const auto ready = ready_at({stream, lane}, seen_);
        if (ready && (!deadline || *ready < *deadline)) deadline = ready;
      }
    }
    return deadline;
  }

  std::optional<RefusedRecord> acknowledged(std::uint64_t batch_id) {
    const LaneOf of = StreamChain::lane_of(batch_id);
    StreamChain* const c = chain(of);
    if (c == nullptr) return std::nullopt;
    if (window_ && of.lane == Lane::backlog) answered_.push_back(batch_id);
    if (!c->acknowledge(batch_id)) return std::nullopt;
    lanes(of.stream)->settle();
    pace_.acknowledged();
    return c->take_refused();
  }

  std::optional<RefusedRecord> failed(std::uint64_t batch_id, BootTime now, const BatchFailure& how) {
    if (how.retry_after > Duration::zero()) pace_.leave_alone(now, how.retry_after);
    const LaneOf of = StreamChain::lane_of(batch_id);
    StreamChain* const c = chain(of);
    if (c == nullptr) return std::nullopt;
    if (options_.dead_letter_after > 0 && !how.refusal.empty()) {
      auto refused = c->refuse(batch_id, now, how);
      lanes(of.stream)->settle();
      return refused;
    }
    if (const auto bytes = how.too_large ? c->refuse_size(batch_id) : std::nullopt) {
      complain_of_size(SizeSign::refused, *bytes);
    } else {
      c->fail(batch_id, now, how.progressed);
    }
    return std::nullopt;
  }

  OutgoingBatch make_letter(Stream stream, Position at, std::string record, WallTime wall_now) {
    BatchHead head;
    head.stream = stream;
    head.epoch = at.epoch;
    head.from = head.to = at.sequence;
    head.count = 1;
    head.historical = true;
    head.sent = wall_now;
    head.beside = "letter";
    encoder_.finish(record, head);
    OutgoingBatch batch{StreamChain::id_beside(++letters_),
                        stream,
                        at.epoch,
                        at.sequence,
                        at.sequence,
                        1,
                        std::make_shared<const std::string>(std::move(record))};
    batch.link = pace_.links();
    batch.beside = random_() | 1U;
    batch.lane = uplink::lane_of(head);
    return batch;
  }

  void link_up(BootTime now) { pace_.up(now); }

  void link_down() {
    pace_.down();
    if (window_) window_->forget();
    answered_.clear();
    for_each_chain([this](StreamChain& c) {
      if (const auto too_large = c.lose_link()) complain_of_size(SizeSign::link_lost, *too_large);
    });
  }

  void hold(Stream stream, BootTime until) { held_until_[index_of(stream)] = until; }

  std::optional<Duration> oldest_age(const FrameTimes& now) const {
    std::optional<Duration> oldest;
    for_each_chain([&](const StreamChain& c) { oldest = std::max(oldest, c.oldest_age(now)); });
    return oldest;
  }

  const ForwarderOptions& options() const { return options_; }

 private:
  enum class SizeSign : std::uint8_t { link_lost, refused };
  void complain_of_size(SizeSign sign, std::size_t bytes) {
    if (std::exchange(size_said_, true)) return;
    const char* const advice = "set batch.max_bytes below that limit, or raise it there";
    if (sign == SizeSign::refused) {
      log_warning("uplink", "{}: the target takes no batch of {} bytes, so they are made smaller until it does: {}",
                  options_.name, bytes, advice);
      return;
    }
    log_warning(
        "uplink",
        "{}: the connection was lost each time that a batch of {} bytes was sent; the target's limit for a packet "
        "is likely below that, so batches are made smaller until it takes them: {}",
        options_.name, bytes, advice);
  }

  std::size_t sum(std::size_t (StreamChain::*count)() const) const {
    std::size_t total = 0;
    for_each_chain([&](const StreamChain& c) { total += (c.*count)(); });
    return total;
  }

  template <class Visit>
  void for_each_chain(Visit visit) const {
    for (const auto& l : lanes_) {
      for (const Lane lane : kAllLanes) {
        if (l) visit(l->chain(lane));
      }
    }
  }

  // With one chain it is what is late there that is limited.
  bool is_limited(LaneOf of) const {
    return bucket_ && of.stream == Stream::readings && (of.lane == Lane::backlog || !options_.live_first);
  }
  bool needs_reading(LaneOf of) const {
    const StreamChain* const c = chain(of);
    return c != nullptr && c->is_behind() && !c->may_be_at_end() && c->waiting() == 0 && !c->fill_is_full();
  }

  // What is current must not wait for what is old. While batches are on their way the target is only slow, and these
  // would go out twice.
  void leave_what_is_late(BootTime now) {
    constexpr LaneOf kLive(Stream::readings);
    StreamLanes* const l = lanes(kLive.stream);
    if (!options_.live_first || l == nullptr || l->chain(Lane::live).in_flight() > 0) return;
    if (l->chain(Lane::live).is_deciding()) return;
    if (is_ready(kLive, now) && l->chain(Lane::live).is_next_historical(now)) l->leave_to_backlog();
  }

  std::optional<LaneOf> choose(BootTime now) const {
    for (const Stream stream : StreamTurns::kDuePriority) {
      const auto of = turns_.is_due(stream) ? ready_lane(stream, now) : std::nullopt;
      if (of) return of;
    }
    for (const Stream stream : StreamTurns::kPriority) {
      if (const auto of = ready_lane(stream, now)) return of;
    }
    return std::nullopt;
  }
  std::optional<LaneOf> ready_lane(Stream stream, BootTime now) const {
    for (const Lane lane : turns_.lane_order(stream)) {
      if (is_ready({stream, lane}, now)) return LaneOf(stream, lane);
    }
    return std::nullopt;
  }

  bool has_more(Stream stream) const {
    const StreamLanes* const l = lanes(stream);
    return l != nullptr && (l->chain(Lane::live).has_more() || l->chain(Lane::backlog).has_more());
  }

  // A trial may need what is behind its record, also where one batch of one record may be in flight.
  std::size_t room_in_trial(const StreamChain& c) const {
    const std::size_t most = 2 + kReadForTrial / options_.batch_readings_max;
    return pace_.is_up() && c.is_in_trial() && c.held() < most ? most - c.held() : 0;
  }

  // While nothing leaves, one batch is filled and no more, and that is not begun unless there is a trial.
  bool has_room_for(LaneOf of) const {
    const StreamChain& c = *chain(of);
    return room_to_supply(of) > 0 || (!c.fill_is_full() && (c.waiting() == 0 || c.is_in_trial()));
  }

  // A part of the room is not for the lane live while there is a backlog. The lane backlog has one batch made, for when
  // another of those on their way is acknowledged.
  std::size_t room_for(LaneOf of) const {
    const std::size_t left = room();
    if (of.lane == Lane::backlog) {
      if (!window_) return left;
      const std::size_t made = window_->size() + 1;
      return std::min(left, made - std::min(made, chain(of)->held()));
    }
    if (!lanes(of.stream)->has_backlog()) return left;
    const std::size_t kept = kept_for_backlog();
    const std::size_t taken = chain({of.stream, Lane::backlog})->held();
    return left + std::min(taken, kept) > kept ? left + std::min(taken, kept) - kept : 0;
  }

  // Less than all.
  std::size_t kept_for_backlog() const {
    const std::uint64_t kept =
        std::uint64_t{options_.inflight_max} * options_.weights.backlog / weight_of_readings(options_.weights);
    return static_cast<std::size_t>(std::max(kept, std::uint64_t{1}));
  }

  // A lane that has nothing on its way may always make one batch, so that a flood of readings keeps no alarm back.
  bool may_hold_more(LaneOf of) const {
    const StreamChain& c = *chain(of);
    return c.waiting() > 0 || c.held() == 0 || room_for(of) > 0;
  }

  // `seen`: what is late then is limited.
  std::optional<BootTime> ready_at(LaneOf of, BootTime seen) const {
    const StreamChain* const c = chain(of);
    if (c == nullptr || !pace_.is_up() || sum(&StreamChain::in_flight) >= options_.inflight_max || !may_hold_more(of)) {
      return std::nullopt;
    }
    if (of.lane == Lane::backlog && window_ && c->in_flight() >= window_->size()) return std::nullopt;
    auto ready = c->ready_at();
    if (!ready) return std::nullopt;
    ready = std::max({*ready, pace_.ready_at(), held_until_[index_of(of.stream)]});
    if (!is_limited(of) || !c->is_next_historical(std::max(*ready, seen))) return ready;
    return std::max(*ready, bucket_->ready_at(c->next_count()));
  }

  const ForwarderOptions options_;
  BatchEncoder encoder_;
  TagFilter filter_;
  std::array<std::unique_ptr<StreamLanes>, kStreamCount> lanes_;
  LinkPace pace_;
  std::array<BootTime, kStreamCount> held_until_{};  // as hold() said
  std::optional<TokenBucket> bucket_;                // of readings that are backlog
  std::optional<BacklogWindow> window_;              // with live-first
  std::vector<std::uint64_t> answered_;              // of the lane backlog, since next_batch() was asked
  BootTime seen_{};                                  // the latest time that next_batch() was told
  StreamTurns turns_;
  std::mt19937_64 random_;
  std::uint64_t letters_ = 0;  // that were made
  bool size_said_ = false;
};

Forwarder::Forwarder(ForwarderOptions options, std::string gateway, const TagRegistry& tags, const ClockHistory& clock,
                     std::uint64_t jitter_seed)
    : impl_(std::make_unique<Impl>(std::move(options), gateway, tags, clock, jitter_seed)) {}
Forwarder::~Forwarder() = default;

void Forwarder::restore(Stream stream, const Cursor& cursor, const Accounting& accounting, bool replay) {
  restore(stream, LanePlaces{cursor}, accounting, replay);
}

void Forwarder::restore(Stream stream, const LanePlaces& places, const Accounting& accounting, bool replay) {
  if (StreamLanes* const lanes = impl_->lanes(stream)) lanes->restore(places, accounting, replay);
}

void Forwarder::move(Stream stream, const CursorMove& move) {
  if (StreamLanes* const lanes = impl_->lanes(stream)) lanes->move(move);
}

bool Forwarder::is_replay_marked(Stream stream) const {
  const StreamLanes* const lanes = impl_->lanes(stream);
  return lanes != nullptr && lanes->is_replay_marked();
}

std::optional<ReadDemand> Forwarder::demand() const { return impl_->demand_without({}); }
std::optional<ReadDemand> Forwarder::demand_without(const std::vector<LaneOf>& lanes) const {
  return impl_->demand_without(lanes);
}
std::optional<ReadDemand> Forwarder::demand(LaneOf of) const { return impl_->demand(of); }

void Forwarder::announce(Stream stream, Position end) {
  if (StreamChain* const chain = impl_->chain(stream)) chain->announce(end);
}

void Forwarder::supply(const RecordBatch& batch, BootTime now, Lane lane) {
  const LaneOf of(batch.stream, lane);
  StreamChain* const chain = impl_->chain(of);
  if (chain == nullptr) return;
  chain->supply(batch, now, impl_->room_to_supply(of));
  impl_->lanes(of.stream)->settle();
}

void Forwarder::supply_gap(LaneOf of, Position next, std::uint64_t lost, const std::string& reason) {
  StreamChain* const chain = impl_->chain(of);
  if (chain == nullptr) return;
  chain->supply_gap(next, lost, reason);
  impl_->lanes(of.stream)->settle();
}

std::optional<OutgoingBatch> Forwarder::next_batch(BootTime now, WallTime wall_now) {
  return impl_->next_batch(now, wall_now);
}

std::optional<RefusedRecord> Forwarder::acknowledged(std::uint64_t batch_id) { return impl_->acknowledged(batch_id); }
std::optional<RefusedRecord> Forwarder::failed(std::uint64_t batch_id, BootTime now, const BatchFailure& how) {
  return impl_->failed(batch_id, now, how);
}

LaneOf Forwarder::lane_of(std::uint64_t batch_id) { return StreamChain::lane_of(batch_id); }

bool Forwarder::leave_out(std::uint64_t batch_id) {
  StreamChain* const chain = impl_->chain(StreamChain::lane_of(batch_id));
  return chain != nullptr && chain->leave_out(batch_id);
}

void Forwarder::keep(std::uint64_t batch_id, BootTime now) {
  if (StreamChain* const chain = impl_->chain(StreamChain::lane_of(batch_id))) chain->keep(batch_id, now);
}

std::optional<Position> Forwarder::on_trial(Stream stream) const {
  for (const Lane lane : kAllLanes) {
    if (const auto record = on_trial(LaneOf(stream, lane))) return record;
  }
  return std::nullopt;
}

std::optional<Position> Forwarder::on_trial(LaneOf of) const {
  const StreamChain* const chain = impl_->chain(of);
  return chain == nullptr ? std::nullopt : chain->record_on_trial();
}

std::optional<RefusedRecord> Forwarder::put_aside(Stream stream, Position at) {
  for (const Lane lane : kAllLanes) {
    StreamChain* const chain = impl_->chain({stream, lane});
    if (auto refused = chain == nullptr ? std::nullopt : chain->put_aside(at)) return refused;
  }
  return std::nullopt;
}

void Forwarder::hold(Stream stream, BootTime until) { impl_->hold(stream, until); }

OutgoingBatch Forwarder::make_letter(Stream stream, Position at, std::string record, WallTime wall_now) {
  return impl_->make_letter(stream, at, std::move(record), wall_now);
}

void Forwarder::count_letter(Stream stream) {
  if (StreamChain* const chain = impl_->chain(stream)) chain->count_letter();
}

bool Forwarder::is_letter(std::uint64_t batch_id) { return StreamChain::is_beside(batch_id); }

void Forwarder::link_up(BootTime now) { impl_->link_up(now); }
void Forwarder::link_down(BootTime) { impl_->link_down(); }
bool Forwarder::is_ready(LaneOf of, BootTime now) const { return impl_->is_ready(of, now); }
std::optional<BootTime> Forwarder::next_deadline() const { return impl_->next_deadline(); }

Cursor Forwarder::cursor(Stream stream) const {
  const StreamLanes* const lanes = impl_->lanes(stream);
  return lanes ? lanes->cursor() : Cursor{};
}

LanePlaces Forwarder::lanes(Stream stream) const {
  const StreamLanes* const lanes = impl_->lanes(stream);
  return lanes ? lanes->places() : LanePlaces{};
}

Accounting Forwarder::accounting(Stream stream) const {
  const StreamLanes* const lanes = impl_->lanes(stream);
  return lanes ? lanes->accounting() : Accounting{};
}

ReadAhead Forwarder::read_ahead(LaneOf of) const {
  const StreamChain* const chain = impl_->chain(of);
  return chain ? chain->read_ahead() : ReadAhead{};
}

std::uint64_t Forwarder::backlog(Stream stream) const {
  const StreamLanes* const lanes = impl_->lanes(stream);
  return lanes ? lanes->backlog() : 0;
}

std::optional<Duration> Forwarder::oldest_age(const FrameTimes& now) const { return impl_->oldest_age(now); }
const ForwarderOptions& Forwarder::options() const { return impl_->options(); }

}  // namespace tidegate::uplink
