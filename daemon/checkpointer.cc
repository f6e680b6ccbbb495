#include "daemon/checkpointer.h"

#include <algorithm>
#include <iterator>
#include <optional>
#include <utility>

#include "core/log.h"
#include "daemon/space_keeper.h"
#include "daemon/work_on.h"

namespace tidegate::daemon {
namespace {

constexpr Duration kInterval = std::chrono::seconds(1);
// Soon after a start, and often at first, so that a daemon that is killed again and again gets on: what it sends again
// would only grow.
constexpr Duration kFirst = std::chrono::milliseconds(100);
constexpr Duration kRulesInterval = std::chrono::seconds(10);

}  // namespace

Checkpointer::Checkpointer(Parts parts, std::string rules)
    : parts_(parts), timer_(parts.loop->make_timer()), rules_(std::move(rules)) {}

void Checkpointer::start() {
  interval_ = kFirst;
  timer_->arm(interval_, [this] { tick(); });
}

void Checkpointer::tick() {
  for (const auto& uplink : *parts_.uplinks) uplink->check_accounts();
  if (saves_ == 0 && !held_ && signature() != saved_signature_) {
    auto now_signature = signature();
    save(collect(), [this, now_signature = std::move(now_signature)](bool ok) {
      if (ok) saved_signature_ = now_signature;
    });
  }
  timer_->arm(interval_, [this] { tick(); });
  interval_ = std::min(2 * interval_, kInterval);
}

void Checkpointer::save_last(std::function<void(bool ok)> done) {
  timer_->cancel();
  rules_taken_ = BootTime{};
  rules_next_.reset();
  buffer::Checkpoint checkpoint = collect();
  checkpoint.log.clean = is_all_durable();
  if (!checkpoint.log.clean) log_error("state", "some records could not be synced: the next start is an unclean one");
  save(std::move(checkpoint), std::move(done));
}

// A checkpoint under way is no obstacle: the storage thread does them in order.
void Checkpointer::save(buffer::Checkpoint checkpoint, std::function<void(bool ok)> done) {
  if (saves_++ == 0) saving_since_ = parts_.clock->boot_now();
  auto shared = std::make_shared<buffer::Checkpoint>(std::move(checkpoint));
  const Position readings_end = parts_.log->end(Stream::readings);
  const auto job = [this, shared] {
    return buffer::with_room(*parts_.reserve, SpaceKeeper::kForState, [&] { return parts_.store->save(*shared); });
  };
  work_on(*parts_.storage, *parts_.loop, job, [this, shared, readings_end, done](const Result<void>& saved) {
    --saves_;
    saving_since_ = parts_.clock->boot_now();
    note_result(saved ? std::string() : saved.error().message);
    if (saved) {
      report_passed(shared->cursors);
      parts_.pipeline->drops_recorded(readings_end);
    }
    done(saved.has_value());
  });
}

void Checkpointer::note_result(const std::string& failure) {
  if (failure.empty() && !failure_.empty()) log_info("state", "checkpoints are saved again");
  if (!failure.empty() && failure != failure_) {
    log_error("state", "checkpoint not saved, trying again; until then cursors are not durable: {}", failure);
  }
  failure_ = failure;
}

buffer::Checkpoint Checkpointer::collect() {
  buffer::Checkpoint checkpoint;
  checkpoint.log = parts_.log->state();
  checkpoint.log.clean = false;
  for (const auto& uplink : *parts_.uplinks) {
    const auto cursors = uplink->cursors();
    checkpoint.cursors.insert(checkpoint.cursors.end(), cursors.begin(), cursors.end());
  }
  take_rules();
  checkpoint.rules = rules_;
  for (const auto& source : parts_.pipeline->sources()) {
    checkpoint.counters["accepted/" + source.driver->name()] = source.accepted;
  }
  checkpoint.counters[StorageWatch::kCounter] = parts_.watch->is_failed() ? 1 : 0;
  return checkpoint;
}

bool Checkpointer::is_all_durable() const {
  const auto& log = *parts_.log;
  return std::all_of(std::begin(kAllStreams), std::end(kAllStreams),
                     [&](Stream stream) { return log.durable(stream) == log.end(stream); });
}

void Checkpointer::take_rules() {
  auto& log = *parts_.log;
  const BootTime now = parts_.clock->boot_now();
  const bool due = rules_taken_ == BootTime{} || now - rules_taken_ >= kRulesInterval;
  // While alarms wait for the log, the engine's state is ahead of it and must not be kept.
  if (due && !rules_next_ && !parts_.pipeline->is_stalled()) {
    const auto& pipeline = *parts_.pipeline;
    rules_next_ = RulesState{pipeline.rules().save(), pipeline.judged_to(), log.end(Stream::alarms)};
    rules_taken_ = now;
  }
  if (!rules_next_) return;
  if (rules_next_->readings > log.durable(Stream::readings) || rules_next_->alarms > log.durable(Stream::alarms))
    return;
  rules_ = pack_rules(*rules_next_);
  rules_next_.reset();
}

void Checkpointer::report_passed(const std::vector<buffer::StoredCursor>& cursors) {
  for (const Stream stream : kAllStreams) {
    // Without a consumer nothing is lost when it is evicted.
    Position least = parts_.log->end(stream);
    for (const auto& uplink : *parts_.uplinks) {
      const auto& streams = uplink->forwarder().options().streams;
      if (std::find(streams.begin(), streams.end(), stream) == streams.end()) continue;
      const auto cursor = std::find_if(cursors.begin(), cursors.end(), [&](const auto& one) {
        return one.uplink == uplink->name() && one.stream == stream;
      });
      least = std::min(least, cursor == cursors.end() ? Position{} : cursor->passed_to);
      // What it is to be given again is not passed, whatever an older checkpoint says.
      least = std::min(least, uplink->forwarder().cursor(stream).passed_to);
    }
    parts_.log->set_passed(stream, least);
  }
}

std::vector<std::uint64_t> Checkpointer::signature() const {
  std::vector<std::uint64_t> signature;
  for (const Stream stream : kAllStreams) {
    signature.push_back(parts_.log->end(stream).sequence);
    signature.push_back(parts_.log->durable(stream).sequence);
  }
  signature.push_back(parts_.log->state().dropped.size());
  signature.push_back(parts_.watch->is_failed() ? 1 : 0);
  for (const auto& uplink : *parts_.uplinks) {
    for (const auto& cursor : uplink->cursors()) {
      signature.push_back(cursor.acked_to.sequence);
      signature.push_back(cursor.passed_to.sequence);
      signature.push_back(cursor.passed_to.epoch);
      signature.push_back(cursor.delivered + cursor.filtered + cursor.dropped);  // another lane may get on alone
    }
  }
  return signature;
}

Duration Checkpointer::busy_for() const {
  return saves_ > 0 ? parts_.clock->boot_now() - saving_since_ : Duration::zero();
}

}  // namespace tidegate::daemon
