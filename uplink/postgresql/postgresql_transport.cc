#include <poll.h>
#include <algorithm>
#include <array>
#include <chrono>
#include <cstdint>
#include <limits>
#include <memory>
#include <optional>
#include <random>
#include <utility>
#include <vector>

#include "core/clock.h"
#include "core/log.h"
#include "uplink/postgresql/postgresql_session.h"
#include "uplink/threaded_transport.h"

namespace tidegate::uplink {
namespace {

constexpr std::size_t kBatchesMost = 64;
constexpr unsigned kLostMost = 2;

// One session after the other, on a thread of its own: each claims the uplink's cursor, reads it back, and takes
// batches from there on. Whatever goes wrong ends the session, and the next one finds out by reading what of it was
// committed (docs/adr/0026).
class PostgresqlWorker final : public TransportWorker {
 public:
  PostgresqlWorker(PostgresqlUplinkOptions options, std::string gateway, LogHistory history, TransportHandlers handlers,
                   TransportInbox& inbox)
      : options_(std::move(options)),
        gateway_(std::move(gateway)),
        handlers_(std::move(handlers)),
        inbox_(inbox),
        random_(std::random_device{}()),
        pause_(options_.forwarder.retry_first) {
    ours_.history = std::move(history);
    ours_.instance = draw_instance();
  }

  Result<void> prepare() override {
    const auto library = PostgresqlLibrary::load();
    if (!library) return tl::unexpected(library.error());
    library_ = *library;
    const auto tables = postgresql_tables(options_);
    if (!tables) return tl::unexpected(tables.error());
    session_ = std::make_unique<PostgresqlSession>(library_, options_, gateway_, *tables, ours_.instance,
                                                   [this] { return must_end(); });
    return {};
  }

  void run() override {
    Batches batches;
    for (;;) {
      const auto stop_by = inbox_.take(batches);
      const bool is_last = stop_by && (batches.empty() || !session_->is_open() || clock_.boot_now() >= *stop_by);
      if (!batches.empty()) take(batches);
      if (is_last) break;
      if (!batches.empty()) continue;
      if (!session_->is_open() && !is_given_up_ && clock_.boot_now() >= reopen_at_) open();
      if (const auto retry = first_retry(); retry && clock_.boot_now() >= *retry) begin_link();
      wait();
    }
    session_->close();
  }

 private:
  using Batches = PostgresqlSession::Batches;

  // Of a stream whose records the server has refused. The others go on, with pauses in which this one is left alone.
  struct Trouble {
    std::string reason{};  // empty: none
    Duration pause{};
    BootTime retry_at{};
    bool is_held = false;  // for this link
  };

  const std::string& name() const { return options_.forwarder.name; }

  // Only what delivers may take the time that there is left.
  bool must_end() const {
    const auto ends_by = inbox_.ends_by();
    return ends_by && (!is_delivering_ || clock_.boot_now() >= *ends_by);
  }

  void wait() {
    if (is_given_up_) return inbox_.wait(std::nullopt);
    if (!session_->is_open()) return inbox_.wait(reopen_at_ - clock_.boot_now());
    std::array<pollfd, 2> watched{{{inbox_.wake_fd(), POLLIN, 0}, {session_->descriptor(), POLLIN, 0}}};
    if (::poll(watched.data(), watched.size(), milliseconds_until(first_retry())) <= 0) return;
    if (watched[0].revents != 0) inbox_.wait(Duration::zero());
    if (watched[1].revents == 0) return;
    if (const auto looked = session_->look(); !looked) close(looked.error());
  }

  void open() {
    const auto claimed = session_->open({ours_.history, ours_.instance});
    if (!claimed) return close(claimed.error());
    if (!claimed->successor.empty()) return give_up(claimed->successor);
    go_on_from(claimed->found, ours_);
    if (claimed->found) handlers_.placed(*claimed->found);
    begin_link();
  }

  // A stream is held back for a link as a whole, or not at all: what was sent behind a batch that was given back must
  // not be taken for what comes next. That its time has come therefore begins a new link, over the same session.
  void begin_link() {
    if (links_ > 0 && !is_down_told_) handlers_.link(false, trouble());
    const BootTime now = clock_.boot_now();
    for (Trouble& one : troubles_) one.is_held = !one.reason.empty() && now < one.retry_at;
    ++links_;
    is_down_told_ = false;
    handlers_.link(true, "");
  }

  // When a stream that is held back now is to be tried.
  std::optional<BootTime> first_retry() const {
    std::optional<BootTime> first;
    if (!session_->is_open()) return first;
    for (const Trouble& one : troubles_) {
      if (one.is_held && (!first || one.retry_at < *first)) first = one.retry_at;
    }
    return first;
  }

  int milliseconds_until(std::optional<BootTime> when) const {
    if (!when) return -1;
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(*when - clock_.boot_now()).count();
    return static_cast<int>(std::clamp<std::int64_t>(left, 0, std::numeric_limits<int>::max()));
  }

  void take(const Batches& batches) {
    Batches waiting;
    Batches doubtful;
    for (const OutgoingBatch& batch : batches) {
      // Those of an earlier link come again.
      if (!session_->is_open() || batch.link != links_ || trouble_of(batch.stream).is_held) {
        handlers_.done(batch.id, false);
      } else {
        (trouble_of(batch.stream).reason.empty() ? waiting : doubtful).push_back(batch);
      }
    }
    for (auto from = waiting.begin(); from != waiting.end();) {
      const auto count = std::min<std::ptrdiff_t>(waiting.end() - from, static_cast<std::ptrdiff_t>(most_));
      deliver({from, from + count});
      from += count;
    }
    // Alone and behind the others: what is refused ends the session.
    for (const OutgoingBatch& batch : doubtful) deliver({batch});
  }

  void deliver(const Batches& batches) {
    const bool was_open = session_->is_open();
    const bool ok = was_open && commit(batches);
    const bool is_too_large = was_open && !ok && batches.size() == 1 && session_->ran_out_in_copy();
    for (const OutgoingBatch& batch : batches) {
      if (ok) tell_trouble(batch.stream, "");
      is_too_large ? handlers_.failed(batch.id, {.too_large = true}) : handlers_.done(batch.id, ok);
    }
    if (ok) pause_ = options_.forwarder.retry_first;
  }

  bool commit(const Batches& batches) {
    TargetCursor next = ours_;
    for (const OutgoingBatch& batch : batches) move_to(next, batch.stream, {batch.epoch, batch.to + 1});
    is_delivering_ = true;
    const auto committed = session_->commit(batches, next);
    is_delivering_ = false;
    if (committed) {
      ours_ = std::move(next);
      lost_in_row_ = 0;
      most_ = std::min(most_ * 2, kBatchesMost);
      return true;
    }
    // A record that the server refuses holds up those of its own stream only; and on a slow way less goes into one.
    const bool is_refused = committed.error().code != ErrorCode::link_down;
    if (batches.size() > 1) most_ = is_refused ? 1 : batches.size() / 2;
    if (is_refused) blame(batches, committed.error().message);
    // One may be lost with its server; a link that comes up each time and carries nothing is none.
    if (!is_refused && ++lost_in_row_ >= kLostMost) tell_trouble_of_all(batches, committed.error().message);
    close(committed.error());
    return false;
  }

  // The next session comes up as this one did, so that it is told as trouble, until records are taken.
  void blame(const Batches& batches, const std::string& reason) {
    if (const auto stream = session_->stopped_at()) return hold_back(*stream, reason);
    std::array<bool, kStreamCount> is_blamed{};
    for (const OutgoingBatch& batch : batches) {
      if (!std::exchange(is_blamed[static_cast<std::size_t>(batch.stream)], true)) hold_back(batch.stream, reason);
    }
  }

  void tell_trouble_of_all(const Batches& batches, const std::string& reason) {
    for (const OutgoingBatch& batch : batches) tell_trouble(batch.stream, reason);
  }

  void hold_back(Stream stream, const std::string& reason) {
    Trouble& one = trouble_of(stream);
    const bool is_first = one.pause == Duration::zero();
    one.pause = is_first ? options_.forwarder.retry_first : std::min(one.pause * 2, options_.forwarder.retry_most);
    one.retry_at = clock_.boot_now() + spread(one.pause);
    tell_trouble(stream, reason);
  }

  std::string trouble() const {
    const auto first =
        std::find_if(troubles_.begin(), troubles_.end(), [](const Trouble& one) { return !one.reason.empty(); });
    return first == troubles_.end() ? "" : first->reason;
  }
  Trouble& trouble_of(Stream stream) { return troubles_[static_cast<std::size_t>(stream)]; }

  void tell_trouble(Stream stream, const std::string& reason) {
    trouble_of(stream).reason = reason;
    if (reason.empty()) trouble_of(stream).pause = Duration::zero();
    const std::string now = trouble();
    if (std::exchange(told_trouble_, now) != now) handlers_.trouble(now);
  }

  // Whether its transaction was committed the next session reads. Where the row is another's, that one says so.
  void close(const Error& error) {
    const bool has_lost_claim = session_->has_lost_claim();
    session_->close();
    const BootTime now = clock_.boot_now();
    reopen_at_ = has_lost_claim ? now : now + spread(pause_);
    pause_ = std::min(pause_ * 2, options_.forwarder.retry_most);
    if (inbox_.ends_by()) return;
    if (const auto left_out = complaints_.admit(error.message, now)) {
      log_warning("uplink", "{}: {}; what was not committed is sent again{}", name(), error.message,
                  since_last_line(*left_out));
    }
    tell_down(error.message);
  }

  void give_up(const std::string& successor) {
    session_->close();
    is_given_up_ = true;
    const std::string reason = describe_successor("database", gateway_, name(), successor);
    log_error("uplink", "{}: {}", name(), reason);
    tell_down(reason);
  }

  void tell_down(const std::string& reason) {
    if (std::exchange(is_down_told_, true) && reason == down_reason_) return;
    down_reason_ = reason;
    handlers_.link(false, reason);
  }

  // So that a server that comes back does not have all its gateways at once.
  Duration spread(Duration pause) {
    return std::chrono::duration_cast<Duration>(pause * std::uniform_real_distribution<>(0.75, 1.25)(random_));
  }

  const PostgresqlUplinkOptions options_;
  const std::string gateway_;
  const TransportHandlers handlers_;
  const SystemClock clock_;
  TransportInbox& inbox_;
  PostgresqlLibrary library_;
  std::unique_ptr<PostgresqlSession> session_;
  std::mt19937 random_;
  ComplaintFilter complaints_;
  TargetCursor ours_;
  std::uint64_t links_ = 0;          // how often the link came up
  std::size_t most_ = kBatchesMost;  // batches in a transaction
  std::array<Trouble, kStreamCount> troubles_;
  std::string told_trouble_;
  unsigned lost_in_row_ = 0;  // sessions that ended in a commit, since one was done
  bool is_delivering_ = false;
  bool is_given_up_ = false;
  bool is_down_told_ = false;
  std::string down_reason_;
  Duration pause_;  // before the next session
  BootTime reopen_at_{};
};

}  // namespace

std::unique_ptr<Transport> make_postgresql_transport(PostgresqlUplinkOptions options, std::string gateway,
                                                     LogHistory history, TransportHandlers handlers) {
  const std::string name = options.forwarder.name;
  return std::make_unique<ThreadedTransport>(name, handlers, [&](TransportInbox& inbox) {
    return std::make_unique<PostgresqlWorker>(std::move(options), std::move(gateway), std::move(history), handlers,
                                              inbox);
  });
}

}  // namespace tidegate::uplink
