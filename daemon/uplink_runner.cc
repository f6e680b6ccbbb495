#include "daemon/uplink_runner.h"

#include <algorithm>
#include <functional>
#include <utility>

#include "core/counted.h"
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
      since_(environment_.clock->boot_now()) {
  if (options.doubts_short_links) doubt_.emplace();
}

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
  if (cursor.acked_to.epoch == 0) return;  // of none that ever began
  forwarder_.restore(cursor.stream, places_of(cursor), accounting_of(cursor), is_replay(cursor));
  has_place_[index_of(cursor.stream)] = true;
}

Result<void> UplinkRunner::start() {
  for (const Stream stream : forwarder_.options().streams) {
    if (!std::exchange(has_place_[index_of(stream)], true)) {
      const Position oldest = environment_.log->oldest(stream);
      uplink::Accounting counts;
      counts.first = oldest.sequence;
      forwarder_.restore(stream, {oldest, oldest}, counts);
    }
    for (const auto lane : uplink::kAllLanes) {
      feeds_[{stream, lane}] = std::make_unique<DiskFeed>(*environment_.log, stream, *environment_.storage,
                                                          *environment_.loop, environment_.clock_records);
    }
  }
  return transport_->start();
}

void UplinkRunner::begin_stop() {
  stopping_ = true;
  timer_->cancel();
}

void UplinkRunner::end_transport(Duration grace) { transport_->stop(grace); }

void UplinkRunner::leave(Worker& helper, Duration grace, std::function<void()> done) {
  begin_stop();
  helper.post([transport = transport_.get(), grace, loop = environment_.loop, done = std::move(done)] {
    transport->stop(grace);
    loop->post(done);  // behind what it has reported
  });
}

void UplinkRunner::pump() {
  if (stopping_) return;
  for (const Stream stream : forwarder_.options().streams) {
    forwarder_.announce(stream, environment_.log->end(stream));
  }
  read_on();
  send_ready();
  read_on();  // what the lane live has just left to the lane backlog
  look_at_doubt();
  const BootTime now = environment_.clock->boot_now();
  for (const auto& feed : feeds_) {
    if (feed) feed->let_go_unused(now);
  }
  auto next = forwarder_.next_deadline();
  if (doubt_ && doubt_->ends_at() > now) next = std::min(next.value_or(*doubt_->ends_at()), *doubt_->ends_at());
  for (const BootTime again : read_again_at_) {
    if (again > now) next = std::min(next.value_or(again), again);
  }
  if (next) timer_->arm(std::max<Duration>(*next - now, std::chrono::milliseconds(1)), [this] { pump(); });
}

void UplinkRunner::read_on() {
  while (const auto demand = next_demand()) {
    if (is_to_its_end(*demand)) {
      forwarder_.supply_gap({demand->stream, demand->lane}, *demand->until, 0);
      send_ready();
      continue;
    }
    if (feeds_[{demand->stream, demand->lane}]->busy()) return;
    const auto outcome = environment_.log->read(demand->stream, demand->from);
    if (outcome.status == buffer::ReadStatus::on_disk) {
      request_from_disk(*demand);
      return;
    }
    if (!take(*demand, outcome)) return;
    send_ready();
  }
}

// A lane whose segment cannot be read is not to keep the others waiting.
std::optional<uplink::ReadDemand> UplinkRunner::next_demand() const {
  const BootTime now = environment_.clock->boot_now();
  std::vector<uplink::LaneOf> pausing;
  for (const Stream stream : forwarder_.options().streams) {
    for (const auto lane : uplink::kAllLanes) {
      if (now < read_again_at_[{stream, lane}]) pausing.emplace_back(stream, lane);
    }
  }
  return forwarder_.demand_without(pausing);
}

// Nothing of what the lane is to go through is left, as where the log has lost its newest records in a power cut.
bool UplinkRunner::is_to_its_end(const uplink::ReadDemand& demand) const {
  const auto& log = *environment_.log;
  return demand.until && log.sequence_of(demand.stream, demand.from) >= log.sequence_of(demand.stream, *demand.until);
}

bool UplinkRunner::take(const uplink::ReadDemand& demand, const buffer::ReadOutcome& outcome) {
  switch (outcome.status) {
    case buffer::ReadStatus::ready:
      supply(demand, *outcome.batch);
      return true;
    case buffer::ReadStatus::gone:
      supply_gap(demand, outcome);
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
    supply_gap(demand, {buffer::ReadStatus::gone, nullptr, oldest, oldest.sequence - wanted});
  }
  if (batch.end() > oldest) forwarder_.supply(batch, environment_.clock->boot_now(), demand.lane);
}

void UplinkRunner::supply_gap(const uplink::ReadDemand& demand, const buffer::ReadOutcome& outcome) {
  const Stream stream = demand.stream;
  const std::uint64_t first = outcome.next.sequence - outcome.lost;
  // What is gone of what another lane has delivered is no loss.
  Position next = outcome.next;
  if (demand.until) {
    const std::uint64_t end = environment_.log->sequence_of(stream, *demand.until);
    if (end < next.sequence) next = environment_.log->position_of(stream, end);
  }
  // While readings are dropped as they come there is one of these after the other.
  if (const auto left_out = complaints_.admit("gone", environment_.clock->boot_now())) {
    log_warning("uplink", "{}: {} of {} gone, going on at epoch {} sequence {}{}", name(),
                counted(next.sequence - first, "record"), to_string(stream), next.epoch, next.sequence,
                since_last_line(*left_out));
  }
  for (const auto& part : environment_.log->explain(stream, environment_.log->position_of(stream, first), next)) {
    forwarder_.supply_gap({stream, demand.lane}, part.next, part.lost, part.reason);
  }
}

void UplinkRunner::request_from_disk(const uplink::ReadDemand& wanted) {
  const auto done = [this, wanted,
                     moves = moves_[index_of(wanted.stream)]](const Result<DiskFeed::Outcomes>& outcomes) {
    // The forwarder may have gone elsewhere: by hand, to make smaller batches, or on to what is current.
    const uplink::LaneOf of(wanted.stream, wanted.lane);
    const bool is_elsewhere = forwarder_.read_ahead(of).read != wanted.from;
    if (is_elsewhere || moves != moves_[index_of(wanted.stream)]) return pump();
    on_read(of, outcomes);
  };
  feeds_[{wanted.stream, wanted.lane}]->read(wanted.from, done);
}

void UplinkRunner::on_read(uplink::LaneOf of, const Result<DiskFeed::Outcomes>& outcomes) {
  if (!outcomes) {
    if (const auto left_out = complaints_.admit("read", environment_.clock->boot_now())) {
      log_error("uplink", "{}: cannot read {} from disk: {}{}", name(), to_string(of.stream), outcomes.error().message,
                since_last_line(*left_out));
    }
    return pause_reading(of);
  }
  // The log says that there is more, its files do not show it yet.
  if (outcomes->front().status == buffer::ReadStatus::at_end) return pause_reading(of);
  for (const auto& outcome : *outcomes) {
    if (!take_whole(of, outcome)) break;  // what was read too far is read again
  }
  pump();
}

// A forwarder that makes one batch at a time takes a frame in several parts. What goes before may come in between, and
// the lane live may have gone on to what is current.
bool UplinkRunner::take_whole(uplink::LaneOf of, const buffer::ReadOutcome& outcome) {
  const bool is_ready = outcome.status == buffer::ReadStatus::ready;
  if (outcome.status == buffer::ReadStatus::at_end) return false;
  for (;;) {
    const auto first = next_demand();
    const auto demand = forwarder_.demand(of);
    if (!demand || first->stream != of.stream || is_to_its_end(*demand)) return false;
    if (is_ready && outcome.batch->end() <= demand->from) return true;
    const std::uint64_t from = environment_.log->sequence_of(of.stream, demand->from);
    if (!is_ready && from + outcome.lost != outcome.next.sequence) return false;
    if (!take(*demand, outcome)) return false;
    send_ready();
    if (!is_ready) return true;
  }
}

void UplinkRunner::pause_reading(uplink::LaneOf of) {
  read_again_at_[of] = environment_.clock->boot_now() + kReadPause;
  pump();
}

void UplinkRunner::send_ready() {
  look_at_windows();
  while (auto batch = forwarder_.next_batch(environment_.clock->boot_now(), environment_.clock->wall_now())) {
    transport_->send(*batch);
  }
}

void UplinkRunner::on_link(bool up, const std::string& detail) {
  const BootTime now = environment_.clock->boot_now();
  link_up_ = up;
  link_detail_ = detail;
  if (doubt_) up ? doubt_->came_up(now) : doubt_->went_down(now, detail);
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

std::string UplinkRunner::doubt() const {
  return doubt_ ? doubt_->reason(environment_.clock->boot_now()) : std::string();
}

// Nothing is told when a link has held for long enough.
void UplinkRunner::look_at_doubt() {
  if (doubt_ && link_up_ && !up_ && doubt().empty()) show_link();
}

void UplinkRunner::show_link() {
  const auto not_kept = std::find_if(not_kept_.begin(), not_kept_.end(), [](const auto& one) { return one; });
  const std::string* const refusal = lasting_refusal();
  const std::string doubts = doubt();
  std::string problem = trouble_.empty() ? doubts : trouble_;
  if (refusal != nullptr) problem = *refusal;
  if (not_kept != not_kept_.end()) problem = (*not_kept)->why;
  const bool up = link_up_ && problem.empty();
  detail_ = !link_up_ || up ? link_detail_ : problem;
  if (is_told_ && up == up_) return;
  if (up != up_) since_ = environment_.clock->boot_now();
  up_ = up;
  if (up && is_unproven_) return;
  is_unproven_ = false;
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
  if (std::exchange(is_unproven_, false)) show_link();
  if (end_letter(batch_id, {})) return;
  if (const auto refused = forwarder_.acknowledged(batch_id)) give_up(*refused);
  look_at_refusals(uplink::Forwarder::lane_of(batch_id));
  pump();
}

std::vector<buffer::StoredCursor> UplinkRunner::cursors() const {
  std::vector<buffer::StoredCursor> cursors;
  for (const Stream stream : forwarder_.options().streams) {
    if (!has_place_[index_of(stream)]) continue;
    const auto cursor = forwarder_.cursor(stream);
    const auto counts = forwarder_.accounting(stream);
    cursors.push_back({name(), stream, cursor.acked_to, cursor.passed_to, counts.delivered, counts.filtered,
                       counts.dropped,
                       stored_accounts(counts, forwarder_.is_replay_marked(stream), forwarder_.lanes(stream))});
  }
  return cursors;
}

std::vector<uplink::SkippedStretch> UplinkRunner::open_stretches(Stream stream) const {
  const auto places = forwarder_.lanes(stream);
  auto open = places.stretches;
  open.push_back({places.live, environment_.log->end(stream)});
  return open;
}

// Skipped is what is open before the place, replayed what is not open behind it.
uplink::CursorMove UplinkRunner::plan_move(Stream stream, Position to) const {
  auto& log = *environment_.log;
  const Position passed = forwarder_.lanes(stream).live.passed_to;
  const std::uint64_t now = log.sequence_of(stream, passed);
  const std::uint64_t then = log.sequence_of(stream, to);
  uplink::CursorMove move;
  move.to = log.position_of(stream, then);
  move.replayed = now > then ? now - then : 0;
  move.reused = passed.sequence - now;
  for (const auto& open : open_stretches(stream)) {
    const std::uint64_t first = log.sequence_of(stream, open.cursor.passed_to);
    const std::uint64_t end = log.sequence_of(stream, open.end);
    const bool is_behind_live = open.cursor.passed_to == passed;
    if (!is_behind_live) {
      move.replayed -= end - std::min(std::max(first, then), end);
      move.reused += (open.cursor.passed_to.sequence - first) - (open.end.sequence - end);
    }
    if (first >= std::min(end, then)) continue;
    const Position skipped_to = log.position_of(stream, std::min(end, then));
    move.skipped += std::min(end, then) - first;
    for (const auto& part : log.missing(stream, log.position_of(stream, first), skipped_to)) {
      move.lost[part.reason] += part.lost;
      move.skipped -= part.lost;
    }
  }
  return move;
}

void UplinkRunner::move(Stream stream, const uplink::CursorMove& move) {
  ++moves_[index_of(stream)];
  for (const auto lane : uplink::kAllLanes) read_again_at_[{stream, lane}] = BootTime{};
  forwarder_.move(stream, move);
  forget_refusals(stream);
  pump();
}

std::uint64_t UplinkRunner::Balance::mismatch() const {
  return accepted + counts.replayed - counts.delivered - counts.filtered - counts.dropped - pending;
}

// A cursor behind the end of its epoch has passed numbers that are given out once more, and are counted twice; a
// stretch that ends behind the end of its epoch has some that nobody counts.
UplinkRunner::Balance UplinkRunner::balance(Stream stream) const {
  auto& log = *environment_.log;
  Balance balance;
  balance.counts = forwarder_.accounting(stream);
  const auto places = forwarder_.lanes(stream);
  const std::uint64_t live = log.sequence_of(stream, places.live.passed_to);
  const std::uint64_t log_end = log.end(stream).sequence;
  balance.accepted = log_end - balance.counts.first + balance.counts.reused + (places.live.passed_to.sequence - live);
  balance.pending = log_end - live;
  std::map<std::string, std::uint64_t> lost = forwarder_.read_ahead(stream).lost;
  const auto add_missing = [&](Position from, Position to) {
    for (const auto& part : log.missing(stream, from, to)) lost[part.reason] += part.lost;
  };
  add_missing(forwarder_.read_ahead(stream).read, log.end(stream));
  for (const auto& open : places.stretches) {
    const std::uint64_t first = log.sequence_of(stream, open.cursor.passed_to);
    const std::uint64_t end = log.sequence_of(stream, open.end);
    balance.accepted += (open.cursor.passed_to.sequence - first) - (open.end.sequence - end);
    balance.pending += end - first;
    if (&open == &places.stretches.front()) {
      const auto ahead = forwarder_.read_ahead({stream, uplink::Lane::backlog});
      for (const auto& [reason, count] : ahead.lost) lost[reason] += count;
      add_missing(ahead.read, open.end);
    } else {
      add_missing(open.cursor.passed_to, open.end);
    }
  }
  for (const auto& [reason, count] : lost) {
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
