#include "daemon/uplink_runner.h"

#include <algorithm>
#include <functional>
#include <utility>

#include "core/log.h"
#include "daemon/event_record.h"
#include "daemon/stored_accounts.h"
#include "daemon/target_place.h"

namespace tidegate::daemon {
namespace {

constexpr Duration kReadPause = std::chrono::milliseconds(200);  // before a read that gave nothing is tried again

std::uint64_t jitter_seed(const UplinkEnvironment& environment, const std::string& name) {
  const auto now = static_cast<std::uint64_t>(environment.clock->boot_now().time_since_epoch().count());
  return now ^ std::hash<std::string>{}(environment.gateway + "/" + name);
}

std::size_t index_of(Stream stream) { return static_cast<std::size_t>(stream); }

}  // namespace

UplinkRunner::UplinkRunner(uplink::ForwarderOptions options, UplinkEnvironment environment,
                           const TransportMaker& make_transport)
    : environment_(std::move(environment)),
      forwarder_(options, environment_.gateway, *environment_.tags, *environment_.clock_history,
                 jitter_seed(environment_, options.name)),
      timer_(environment_.loop->make_timer()),
      transport_(make_transport(handlers())),
      since_(environment_.clock->boot_now()) {}

UplinkRunner::~UplinkRunner() { *alive_ = false; }

uplink::TransportHandlers UplinkRunner::handlers() {
  uplink::TransportHandlers handlers;
  handlers.done = [this, alive = alive_, loop = environment_.loop](std::uint64_t batch_id, bool ok) {
    loop->post([this, alive, batch_id, ok] {
      if (*alive) on_done(batch_id, ok);
    });
  };
  handlers.failed = [this, alive = alive_, loop = environment_.loop](std::uint64_t batch_id, uplink::BatchFailure how) {
    loop->post([this, alive, batch_id, how] {
      if (*alive) on_failed(batch_id, how);
    });
  };
  handlers.link = [this, alive = alive_, loop = environment_.loop](bool up, std::string detail) {
    loop->post([this, alive, up, detail = std::move(detail)] {
      if (*alive) on_link(up, detail);
    });
  };
  handlers.trouble = [this, alive = alive_, loop = environment_.loop](std::string reason) {
    loop->post([this, alive, reason = std::move(reason)] {
      if (*alive) on_trouble(reason);
    });
  };
  handlers.placed = [this, alive = alive_, loop = environment_.loop](const uplink::TargetCursor& cursor) {
    loop->post([this, alive, cursor] {
      if (*alive) on_placed(cursor);
    });
  };
  return handlers;
}

void UplinkRunner::restore(const buffer::StoredCursor& cursor) {
  forwarder_.restore(cursor.stream, {cursor.acked_to, cursor.passed_to}, accounting_of(cursor), is_replay(cursor));
  restored_[index_of(cursor.stream)] = true;
}

Result<void> UplinkRunner::start() {
  for (const Stream stream : forwarder_.options().streams) {
    if (!restored_[index_of(stream)]) {
      const Position oldest = environment_.log->oldest(stream);
      uplink::Accounting counts;
      counts.first = oldest.sequence;
      forwarder_.restore(stream, {oldest, oldest}, counts);
    }
    feeds_[index_of(stream)] = std::make_unique<DiskFeed>(*environment_.log, stream, *environment_.storage,
                                                          *environment_.loop, environment_.clock_records);
  }
  return transport_->start();
}

void UplinkRunner::stop(Duration grace) {
  stopping_ = true;
  timer_->cancel();
  transport_->stop(grace);
}

void UplinkRunner::pump() {
  for (const Stream stream : forwarder_.options().streams) {
    forwarder_.announce(stream, environment_.log->end(stream));
  }
  read_on();
  send_ready();
  const BootTime now = environment_.clock->boot_now();
  auto next = forwarder_.next_deadline();
  if (read_again_at_ > now) next = std::min(next.value_or(read_again_at_), read_again_at_);
  if (next) timer_->arm(std::max<Duration>(*next - now, std::chrono::milliseconds(1)), [this] { pump(); });
}

void UplinkRunner::read_on() {
  if (environment_.clock->boot_now() < read_again_at_) return;
  while (const auto demand = forwarder_.demand()) {
    if (feeds_[index_of(demand->stream)]->busy()) return;
    const auto outcome = environment_.log->read(demand->stream, demand->from);
    if (outcome.status == buffer::ReadStatus::on_disk) {
      request_from_disk(*demand);
      return;
    }
    if (!take(*demand, outcome)) return;
    send_ready();
  }
}

bool UplinkRunner::take(const uplink::ReadDemand& demand, const buffer::ReadOutcome& outcome) {
  switch (outcome.status) {
    case buffer::ReadStatus::ready:
      supply(demand, *outcome.batch);
      return true;
    case buffer::ReadStatus::gone:
      supply_gap(demand.stream, outcome);
      return true;
    case buffer::ReadStatus::at_end:
    case buffer::ReadStatus::on_disk:
      return false;
  }
  return false;
}

// A reader may still have what the log has given up since: that is counted and recorded as lost, so it is not sent.
void UplinkRunner::supply(const uplink::ReadDemand& demand, const RecordBatch& batch) {
  const Position oldest = environment_.log->oldest(demand.stream);
  const std::uint64_t wanted = environment_.log->sequence_of(demand.stream, demand.from);
  if (wanted < oldest.sequence) {
    supply_gap(demand.stream, {buffer::ReadStatus::gone, nullptr, oldest, oldest.sequence - wanted});
  }
  if (batch.end() > oldest) forwarder_.supply(batch, environment_.clock->boot_now());
}

void UplinkRunner::supply_gap(Stream stream, const buffer::ReadOutcome& outcome) {
  // While readings are dropped as they come there is one of these after the other.
  if (const auto left_out = complaints_.admit("gone", environment_.clock->boot_now())) {
    log_warning("uplink", "{}: {} records of {} are gone, going on at epoch {} sequence {}{}", name(), outcome.lost,
                to_string(stream), outcome.next.epoch, outcome.next.sequence, since_last_line(*left_out));
  }
  const Position from = environment_.log->position_of(stream, outcome.next.sequence - outcome.lost);
  for (const auto& part : environment_.log->explain(stream, from, outcome.next)) {
    forwarder_.supply_gap(stream, part.next, part.lost, part.reason);
  }
}

void UplinkRunner::request_from_disk(const uplink::ReadDemand& wanted) {
  const auto done = [this, wanted,
                     moves = moves_[index_of(wanted.stream)]](const Result<DiskFeed::Outcomes>& outcomes) {
    // The forwarder may have gone back, by hand or to make smaller batches.
    const bool has_gone_back = forwarder_.read_ahead(wanted.stream).read < wanted.from;
    if (has_gone_back || moves != moves_[index_of(wanted.stream)]) return pump();
    on_read(wanted.stream, outcomes);
  };
  feeds_[index_of(wanted.stream)]->read(wanted.from, done);
}

void UplinkRunner::on_read(Stream stream, const Result<DiskFeed::Outcomes>& outcomes) {
  if (!outcomes) {
    if (const auto left_out = complaints_.admit("read", environment_.clock->boot_now())) {
      log_error("uplink", "{}: cannot read {} from disk: {}{}", name(), to_string(stream), outcomes.error().message,
                since_last_line(*left_out));
    }
    return pause_reading();
  }
  // The log says that there is more, its files do not show it yet.
  if (outcomes->front().status == buffer::ReadStatus::at_end) return pause_reading();
  for (const auto& outcome : *outcomes) {
    if (!take_whole(stream, outcome)) break;  // what was read too far is read again
  }
  pump();
}

// A forwarder that makes one batch at a time takes a frame in several parts.
bool UplinkRunner::take_whole(Stream stream, const buffer::ReadOutcome& outcome) {
  const bool is_ready = outcome.status == buffer::ReadStatus::ready;
  if (outcome.status == buffer::ReadStatus::at_end) return false;
  for (;;) {
    const auto demand = forwarder_.demand();
    if (!demand || demand->stream != stream) return false;
    if (is_ready && outcome.batch->end() <= demand->from) return true;
    if (!take(*demand, outcome)) return false;
    send_ready();
    if (!is_ready) return true;
  }
}

void UplinkRunner::pause_reading() {
  read_again_at_ = environment_.clock->boot_now() + kReadPause;
  timer_->arm(kReadPause, [this] { pump(); });
}

void UplinkRunner::send_ready() {
  while (auto batch = forwarder_.next_batch(environment_.clock->boot_now(), environment_.clock->wall_now())) {
    transport_->send(*batch);
  }
}

void UplinkRunner::on_link(bool up, const std::string& detail) {
  const BootTime now = environment_.clock->boot_now();
  link_up_ = up;
  link_detail_ = detail;
  show_link();
  if (up) {
    forwarder_.link_up(now);
  } else {
    forwarder_.link_down(now);
  }
  pump();
}

// Or would be, but for gaps, of which the target knows nothing.
bool UplinkRunner::is_where(Stream stream, Position place) const {
  auto& log = *environment_.log;
  const std::uint64_t there = log.sequence_of(stream, place);
  const std::uint64_t here = log.sequence_of(stream, forwarder_.cursor(stream).acked_to);
  if (there >= here) return there == here;
  std::uint64_t missing = 0;
  for (const auto& part : log.missing(stream, log.position_of(stream, there), log.position_of(stream, here))) {
    missing += part.lost;
  }
  return missing == here - there;
}

// What the target has counts, and not what we remember of its answers: but for a replay that it has yet to see.
void UplinkRunner::on_placed(const uplink::TargetCursor& cursor) {
  const TargetPlaces places(*environment_.log, *environment_.marks, cursor);
  if (!places.remark().empty()) log_warning("uplink", "{}: {}", name(), places.remark());
  for (const Stream stream : forwarder_.options().streams) {
    const auto place = places.place(stream);
    if (!place || forwarder_.is_replay_marked(stream)) continue;
    if (is_where(stream, *place)) continue;
    auto planned = plan_move(stream, *place);
    planned.is_by_target = true;
    log_info("uplink",
             "{}: {} go on at epoch {} sequence {}, where the target is: {} more than was remembered, {} less", name(),
             to_string(stream), planned.to.epoch, planned.to.sequence, planned.skipped, planned.replayed);
    move(stream, planned);
  }
}

// The forwarder goes on sending, with the pauses that failed batches make.
void UplinkRunner::on_trouble(const std::string& reason) {
  trouble_ = reason;
  show_link();
}

void UplinkRunner::show_link() {
  const bool up = link_up_ && trouble_.empty();
  detail_ = link_up_ && !up ? trouble_ : link_detail_;
  if (is_told_ && up == up_) return;
  if (up != up_) since_ = environment_.clock->boot_now();
  up_ = up;
  is_told_ = true;
  if (up) {
    log_info("uplink", "{} is up", name());
  } else {
    log_warning("uplink", "{} is down: {}", name(), detail_);
  }
  // Going down is part of a stop, behind whose event there is nothing.
  if (stopping_ || !environment_.record_event) return;
  environment_.record_event(event_record(up ? "uplink-up" : "uplink-down", environment_.clock->wall_now(),
                                         {{"uplink", name()}, {"detail", detail_}}));
}

void UplinkRunner::on_done(std::uint64_t batch_id, bool ok) {
  if (!ok) return on_failed(batch_id, {});
  forwarder_.acknowledged(batch_id);
  pump();
}

void UplinkRunner::on_failed(std::uint64_t batch_id, const uplink::BatchFailure& how) {
  forwarder_.failed(batch_id, environment_.clock->boot_now(), how);
  pump();
}

std::vector<buffer::StoredCursor> UplinkRunner::cursors() const {
  std::vector<buffer::StoredCursor> cursors;
  for (const Stream stream : forwarder_.options().streams) {
    const auto cursor = forwarder_.cursor(stream);
    const auto counts = forwarder_.accounting(stream);
    cursors.push_back({name(), stream, cursor.acked_to, cursor.passed_to, counts.delivered, counts.filtered,
                       counts.dropped, stored_accounts(counts, forwarder_.is_replay_marked(stream))});
  }
  return cursors;
}

uplink::CursorMove UplinkRunner::plan_move(Stream stream, Position to) const {
  const Position passed = forwarder_.cursor(stream).passed_to;
  const std::uint64_t now = environment_.log->sequence_of(stream, passed);
  const std::uint64_t then = environment_.log->sequence_of(stream, to);
  uplink::CursorMove move;
  move.to = environment_.log->position_of(stream, then);
  move.replayed = now > then ? now - then : 0;
  move.skipped = then > now ? then - now : 0;
  if (then > now) {
    for (const auto& part : environment_.log->missing(stream, environment_.log->position_of(stream, now), move.to)) {
      move.lost[part.reason] += part.lost;
      move.skipped -= part.lost;
    }
  }
  move.reused = passed.sequence - now;
  return move;
}

void UplinkRunner::move(Stream stream, const uplink::CursorMove& move) {
  ++moves_[index_of(stream)];
  read_again_at_ = BootTime{};
  forwarder_.move(stream, move);
  pump();
}

std::uint64_t UplinkRunner::Balance::mismatch() const {
  return accepted + counts.replayed - counts.delivered - counts.filtered - counts.dropped - pending;
}

// A cursor behind the end of its epoch has passed numbers that are given out once more, and are counted twice.
UplinkRunner::Balance UplinkRunner::balance(Stream stream) const {
  Balance balance;
  balance.counts = forwarder_.accounting(stream);
  const Position passed = forwarder_.cursor(stream).passed_to;
  const std::uint64_t next = environment_.log->sequence_of(stream, passed);
  const std::uint64_t end = environment_.log->end(stream).sequence;
  balance.accepted = end - balance.counts.first + balance.counts.reused + (passed.sequence - next);
  balance.pending = end - next;
  auto ahead = forwarder_.read_ahead(stream);
  for (const auto& part : environment_.log->missing(stream, ahead.read, environment_.log->end(stream))) {
    ahead.lost[part.reason] += part.lost;
  }
  for (const auto& [reason, count] : ahead.lost) {
    balance.counts.drop(reason, count);
    balance.pending -= count;
  }
  return balance;
}

void UplinkRunner::check_accounts() {
  for (const Stream stream : forwarder_.options().streams) {
    if (mismatch_said_) return;
    const Balance found = balance(stream);
    if (found.mismatch() == 0) continue;
    mismatch_said_ = true;
    log_error(
        "uplink",
        "{}: the accounts of {} do not hold, which is a mistake of this program: accepted {} + replayed {} is not "
        "delivered {} + filtered {} + pending {} + dropped {}",
        name(), to_string(stream), found.accepted, found.counts.replayed, found.counts.delivered, found.counts.filtered,
        found.pending, found.counts.dropped);
  }
}

}  // namespace tidegate::daemon
