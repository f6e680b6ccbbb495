#include "uplink/forwarder.h"

#include <algorithm>
#include <array>
#include <random>
#include <utility>

#include "core/backoff.h"
#include "core/log.h"
#include "uplink/batch_encoder.h"
#include "uplink/stream_chain.h"
#include "uplink/tag_filter.h"
#include "uplink/token_bucket.h"

namespace tidegate::uplink {
namespace {

// In this order they are read and sent,
constexpr std::array<Stream, kStreamCount> kPriority{Stream::alarms, Stream::events, Stream::readings};

// but who was passed over by so many batches has its turn: no flood of alarms keeps readings back for ever.
constexpr unsigned kPassedOverMost = 7;

std::size_t index_of(Stream stream) { return static_cast<std::size_t>(stream); }

ForwarderOptions checked(ForwarderOptions options) {
  options.inflight_max = std::max(options.inflight_max, std::uint32_t{1});
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
        backoff_(options_.retry_first, options_.retry_most, jitter_seed),
        random_(jitter_seed) {
    if (options_.backfill_rate > 0) {
      bucket_.emplace(options_.backfill_rate, std::max<double>(options_.backfill_rate, options_.batch_readings_max));
    }
    for (const Stream stream : options_.streams) {
      auto& chain = chains_[index_of(stream)];
      if (chain) continue;
      const std::uint64_t seed = jitter_seed + 1 + static_cast<std::uint64_t>(stream);
      chain = std::make_unique<StreamChain>(stream, StreamChain::Parts{options_, encoder_, filter_, clock}, seed);
    }
  }

  StreamChain* chain(Stream stream) const { return chains_[index_of(stream)].get(); }

  // A stream that may have nothing but a new epoch comes last: asking for it in vain must not keep the others waiting.
  std::optional<ReadDemand> demand() const {
    for (const Stream stream : kPriority) {
      const StreamChain* const c = chain(stream);
      if (c != nullptr && is_due(stream) && needs_reading(*c)) return ReadDemand{stream, c->read_position()};
    }
    for (const bool doubtful : {false, true}) {
      for (const Stream stream : kPriority) {
        const StreamChain* const c = chain(stream);
        if (c == nullptr || !c->is_behind() || c->may_be_at_end() != doubtful || !has_room_for(stream)) continue;
        return ReadDemand{stream, c->read_position()};
      }
    }
    return std::nullopt;
  }

  // How many batches may be made before there is an acknowledgement.
  std::size_t room() const {
    const std::size_t held = sum(&StreamChain::held);
    return link_up_ && held < options_.inflight_max ? options_.inflight_max - held : 0;
  }

  // How many of these a chain may make. What goes at a limited rate makes none ahead of time: waiting for its time it
  // would take the room of others.
  std::size_t room_to_supply(Stream stream) const { return is_limited(stream) ? 0 : room(); }

  std::optional<OutgoingBatch> next_batch(BootTime now, WallTime wall_now) {
    seen_ = std::max(seen_, now);
    const auto stream = choose(now);
    if (!stream) return std::nullopt;
    StreamChain& c = *chain(*stream);
    count_turn(*stream);
    session_sent_ = true;
    const bool takes_tokens = is_limited(*stream) && c.is_next_historical(now);
    OutgoingBatch batch = c.send(now, wall_now);
    batch.link = links_;
    if (takes_tokens) bucket_->take(batch.count, now);
    return batch;
  }

  std::optional<BootTime> next_deadline() const {
    std::optional<BootTime> deadline;
    for (const Stream stream : kPriority) {
      const auto ready = ready_at(stream);
      if (ready && (!deadline || *ready < *deadline)) deadline = ready;
    }
    return deadline;
  }

  void acknowledged(std::uint64_t batch_id) {
    StreamChain* const c = chain(StreamChain::stream_of(batch_id));
    if (c == nullptr || !c->acknowledge(batch_id)) return;
    session_acknowledged_ = true;
    backoff_.reset();
  }

  void failed(std::uint64_t batch_id, BootTime now, const BatchFailure& how) {
    if (how.retry_after > Duration::zero()) wait_until(now, how.retry_after);
    StreamChain* const c = chain(StreamChain::stream_of(batch_id));
    if (c == nullptr) return;
    if (const auto bytes = how.too_large ? c->refuse_size(batch_id) : std::nullopt) {
      complain_of_size(SizeSign::refused, *bytes);
    } else {
      c->fail(batch_id, now);
    }
  }

  void link_up(BootTime now) {
    if (link_up_) return;
    link_up_ = true;
    ++links_;
    // A target that takes connections and drops them at the first batch must not be overrun; where the last connection
    // worked, nothing is waited for.
    held_back_until_ = session_sent_ && !session_acknowledged_ ? now + backoff_.next() : BootTime::min();
    session_sent_ = session_acknowledged_ = false;
  }

  void link_down() {
    link_up_ = false;
    for (const auto& c : chains_) {
      if (const auto too_large = c ? c->lose_link() : std::nullopt) complain_of_size(SizeSign::link_lost, *too_large);
    }
  }

  std::optional<Duration> oldest_age(const FrameTimes& now) const {
    std::optional<Duration> oldest;
    for (const auto& c : chains_) oldest = std::max(oldest, c ? c->oldest_age(now) : std::nullopt);
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

  // Up to a tenth later, so that a fleet that was turned away together does not come back together.
  void wait_until(BootTime now, Duration retry_after) {
    std::uniform_int_distribution<std::int64_t> jitter(0, retry_after.count() / 10);
    silent_until_ = std::max(silent_until_, now + retry_after + Duration(jitter(random_)));
  }

  std::size_t sum(std::size_t (StreamChain::*count)() const) const {
    std::size_t total = 0;
    for (const auto& c : chains_) total += c ? (c.get()->*count)() : 0;
    return total;
  }

  bool is_limited(Stream stream) const { return bucket_ && stream == Stream::readings; }
  bool is_due(Stream stream) const { return passed_over_[index_of(stream)] >= kPassedOverMost; }
  static bool needs_reading(const StreamChain& c) {
    return c.is_behind() && !c.may_be_at_end() && c.waiting() == 0 && !c.fill_is_full();
  }

  std::optional<Stream> choose(BootTime now) const {
    for (const bool due : {true, false}) {
      for (const Stream stream : kPriority) {
        if (due && !is_due(stream)) continue;
        const auto ready = ready_at(stream);
        if (ready && *ready <= now) return stream;
      }
    }
    return std::nullopt;
  }

  void count_turn(Stream sent) {
    passed_over_[index_of(sent)] = 0;
    for (auto at = std::find(kPriority.begin(), kPriority.end(), sent) + 1; at != kPriority.end(); ++at) {
      const StreamChain* const c = chain(*at);
      if (c != nullptr && c->has_more()) ++passed_over_[index_of(*at)];
    }
  }

  // While nothing leaves, one batch is filled and no more.
  bool has_room_for(Stream stream) const {
    const StreamChain& c = *chain(stream);
    return room_to_supply(stream) > 0 || (!c.fill_is_full() && c.waiting() == 0);
  }

  // A stream that has nothing on its way may always make one batch, so that a flood of readings keeps no alarm back.
  bool may_hold_more(const StreamChain& c) const { return c.waiting() > 0 || c.held() == 0 || room() > 0; }

  std::optional<BootTime> ready_at(Stream stream) const {
    const StreamChain* const c = chain(stream);
    if (c == nullptr || !link_up_ || sum(&StreamChain::in_flight) >= options_.inflight_max || !may_hold_more(*c)) {
      return std::nullopt;
    }
    auto ready = c->ready_at();
    if (!ready) return std::nullopt;
    ready = std::max({*ready, held_back_until_, silent_until_});
    if (!is_limited(stream) || !c->is_next_historical(std::max(*ready, seen_))) return ready;
    return std::max(*ready, bucket_->ready_at(c->next_count()));
  }

  const ForwarderOptions options_;
  BatchEncoder encoder_;
  TagFilter filter_;
  std::array<std::unique_ptr<StreamChain>, kStreamCount> chains_;
  Backoff backoff_;
  BootTime held_back_until_ = BootTime::min();
  BootTime silent_until_ = BootTime::min();           // as the target asked
  std::optional<TokenBucket> bucket_;                 // of readings that are backlog
  BootTime seen_{};                                   // the latest time that next_batch() was told
  std::array<unsigned, kStreamCount> passed_over_{};  // by batches of streams before it, while it had something
  std::mt19937_64 random_;
  bool link_up_ = false;
  std::uint64_t links_ = 0;
  bool session_sent_ = false;  // since the link came up
  bool session_acknowledged_ = false;
  bool size_said_ = false;
};

Forwarder::Forwarder(ForwarderOptions options, std::string gateway, const TagRegistry& tags, const ClockHistory& clock,
                     std::uint64_t jitter_seed)
    : impl_(std::make_unique<Impl>(std::move(options), gateway, tags, clock, jitter_seed)) {}
Forwarder::~Forwarder() = default;

void Forwarder::restore(Stream stream, const Cursor& cursor, const Accounting& accounting, bool replay) {
  if (StreamChain* const chain = impl_->chain(stream)) chain->restore(cursor, accounting, replay);
}

void Forwarder::move(Stream stream, const CursorMove& move) {
  if (StreamChain* const chain = impl_->chain(stream)) chain->move(move);
}

bool Forwarder::is_replay_marked(Stream stream) const {
  const StreamChain* const chain = impl_->chain(stream);
  return chain != nullptr && chain->is_replay_marked();
}

std::optional<ReadDemand> Forwarder::demand() const { return impl_->demand(); }

void Forwarder::announce(Stream stream, Position end) {
  if (StreamChain* const chain = impl_->chain(stream)) chain->announce(end);
}

void Forwarder::supply(const RecordBatch& batch, BootTime now) {
  if (StreamChain* const chain = impl_->chain(batch.stream))
    chain->supply(batch, now, impl_->room_to_supply(batch.stream));
}

void Forwarder::supply_gap(Stream stream, Position next, std::uint64_t lost, const std::string& reason) {
  if (StreamChain* const chain = impl_->chain(stream)) chain->supply_gap(next, lost, reason);
}

std::optional<OutgoingBatch> Forwarder::next_batch(BootTime now, WallTime wall_now) {
  return impl_->next_batch(now, wall_now);
}

void Forwarder::acknowledged(std::uint64_t batch_id) { impl_->acknowledged(batch_id); }
void Forwarder::failed(std::uint64_t batch_id, BootTime now, const BatchFailure& how) {
  impl_->failed(batch_id, now, how);
}
void Forwarder::link_up(BootTime now) { impl_->link_up(now); }
void Forwarder::link_down(BootTime) { impl_->link_down(); }
std::optional<BootTime> Forwarder::next_deadline() const { return impl_->next_deadline(); }

Cursor Forwarder::cursor(Stream stream) const {
  const StreamChain* const chain = impl_->chain(stream);
  return chain ? chain->cursor() : Cursor{};
}

Accounting Forwarder::accounting(Stream stream) const {
  const StreamChain* const chain = impl_->chain(stream);
  return chain ? chain->accounting() : Accounting{};
}

ReadAhead Forwarder::read_ahead(Stream stream) const {
  const StreamChain* const chain = impl_->chain(stream);
  return chain ? chain->read_ahead() : ReadAhead{};
}

std::uint64_t Forwarder::backlog(Stream stream) const {
  const StreamChain* const chain = impl_->chain(stream);
  return chain ? chain->backlog() : 0;
}

std::optional<Duration> Forwarder::oldest_age(const FrameTimes& now) const { return impl_->oldest_age(now); }
const ForwarderOptions& Forwarder::options() const { return impl_->options(); }

}  // namespace tidegate::uplink
