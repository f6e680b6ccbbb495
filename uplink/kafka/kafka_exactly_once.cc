#include <algorithm>
#include <array>
#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "core/clock.h"
#include "core/log.h"
#include "uplink/kafka/kafka_avro.h"
#include "uplink/kafka/kafka_cursors.h"
#include "uplink/kafka/kafka_messages.h"
#include "uplink/kafka/kafka_names.h"
#include "uplink/kafka/kafka_probe.h"
#include "uplink/kafka/kafka_producer.h"
#include "uplink/kafka/kafka_tokens.h"
#include "uplink/kafka/kafka_troubles.h"
#include "uplink/kafka/kafka_watch.h"
#include "uplink/threaded_transport.h"

namespace tidegate::uplink {
namespace {

using std::chrono::seconds;

constexpr Duration kStep = seconds(1);  // of what can be repeated; in between the state is told
constexpr Duration kReopenPause = seconds(1);
constexpr Duration kReadPatience = seconds(70);     // longer than a transaction that somebody has left open
constexpr Duration kTransactionMost = seconds(50);  // the coordinator gives it up after 60
constexpr std::size_t kBatchesMost = 64;
constexpr Duration kBeforeJudging = seconds(3);  // how long who has fenced us may take to say who he is

TransportHandlers only_trouble(const TransportHandlers& handlers) {
  TransportHandlers left{[](std::uint64_t, bool) {}, [](bool, const std::string&) {}};
  left.trouble = handlers.trouble;
  return left;
}

// One session after the other: a producer is made, fences what there was before it, reads back how far the target is,
// and takes batches from there on. Whatever goes wrong ends the session: the next one finds out by reading what of it
// was committed. So there is nothing to abort, and no answer that could be misread.
class KafkaExactlyOnce final : public TransportWorker {
 public:
  KafkaExactlyOnce(KafkaUplinkOptions options, std::string gateway, LogHistory history, TransportHandlers handlers,
                   TransportInbox& inbox, const std::optional<AvroSchemaIds>& ids)
      : options_(std::move(options)),
        gateway_(std::move(gateway)),
        key_(kafka_transactional_id(gateway_, options_.forwarder.name)),
        handlers_(std::move(handlers)),
        watch_handlers_(only_trouble(handlers_)),
        messages_(gateway_, options_.key, ids),
        tokens_(options_, gateway_),
        watch_(watch_handlers_,
               [this](const auto& outage, bool may_be_of_login) { return tokens_.explain(outage, may_be_of_login); }),
        inbox_(inbox) {
    ours_.history = std::move(history);
    ours_.instance = draw_instance();
  }

  Result<void> prepare() override {
    const auto library = KafkaLibrary::load();
    if (!library) return tl::unexpected(library.error());
    library_ = *library;
    if (auto started = tokens_.start([this] { inbox_.wake(); }); !started) return started;
    return open_producer();
  }

  void run() override {
    Batches batches;
    for (;;) {
      const auto stop_by = inbox_.take(batches);
      const bool is_last = stop_by && (batches.empty() || stage_ != Stage::open || clock_.boot_now() >= *stop_by);
      if (!batches.empty()) take(batches);
      if (is_last) break;
      if (batches.empty()) advance();
      watch_.tell();
      if (producer_) producer_->serve();
      if (must_close_) close(reason_);
      if (batches.empty()) wait();
    }
    close("");
    tokens_.stop();
  }

 private:
  enum class Stage : std::uint8_t { closed, fencing, reading, open, fenced, given_up };
  using Step = KafkaProducer::Step;
  using Batches = std::vector<OutgoingBatch>;

  void wait() const {
    switch (stage_) {
      case Stage::closed:
        return inbox_.wait(reopen_at_ - clock_.boot_now());
      case Stage::fencing:
      case Stage::reading:
        return;  // which have waited
      case Stage::fenced:
        return inbox_.wait(judge_at_ - clock_.boot_now());
      case Stage::open:
        return inbox_.wait(watch_.is_doubtful() ? std::optional(kStep) : std::nullopt);
      case Stage::given_up:
        return inbox_.wait(std::nullopt);
    }
  }

  // One step of what there is to do without a batch.
  void advance() {
    const BootTime now = clock_.boot_now();
    switch (stage_) {
      case Stage::closed:
        if (now < reopen_at_) return;
        if (const auto opened = open_producer(); !opened) close(opened.error().message);
        return;
      case Stage::fencing:
        return fence();
      case Stage::reading:
        return read_back();
      case Stage::open:
        if (watch_.wants_probe(now)) probe_.ask(*producer_, watch_, clock_);
        return;
      case Stage::fenced:
        if (now >= judge_at_) judge();
        return;
      case Stage::given_up:
        return;
    }
  }

  Result<void> open_producer() {
    KafkaProducer::Handlers handlers;
    handlers.delivered = [this](void* mark, rd_kafka_resp_err_t error) { on_delivered(mark, error); };
    handlers.problem = [this](rd_kafka_resp_err_t error, const std::string& text, bool is_fatal) {
      on_problem(error, text, is_fatal);
    };
    auto opened = KafkaProducer::open(access_, inbox_.wake_fd(), std::move(handlers));
    if (!opened) return tl::unexpected(opened.error());
    producer_ = std::move(*opened);
    must_close_ = false;
    unreported_ = 0;
    stage_ = Stage::fencing;
    return {};
  }

  void fence() {
    const Step step = producer_->init_transactions(kStep);
    if (step.is_done()) {
      stage_ = Stage::reading;
    } else if (step.can_repeat) {
      tell_down(describe_kafka_outage(step.error, step.text), may_be_of_login(step.error));
    } else {
      close_after(step);
    }
  }

  void read_back() {
    auto found = read_cursor();
    if (!found) {
      close(found.error().message);
      return;
    }
    if (auto opened = producer_->open_cursor_topic(options_.cursor_topic); !opened) {
      close(opened.error().message);
      return;
    }
    found_instance_ = *found ? (*found)->instance : "";
    if (!claim(*found)) return;
    if (*found) handlers_.placed(**found);
    stage_ = Stage::open;
    ++links_;
    is_down_told_ = false;
    watch_.on_answer(clock_.boot_now(), "");
    handlers_.link(true, "");
  }

  Result<std::optional<TargetCursor>> read_cursor() {
    const auto is_over = [this] { return inbox_.ends_by().has_value(); };
    const auto tell = [this](const std::string& reason) { tell_down(reason); };
    return read_kafka_cursor(access_, {kReadPatience, is_over, tell});
  }

  // What stands there, as it is but by us: whoever is fenced by this finds out by whom. It waits at the inbox for its
  // report, and may be woken there by what only run() takes: run() has to look once more before it waits.
  bool claim(const std::optional<TargetCursor>& found) {
    go_on_from(found, ours_);
    TargetCursor claimed = found.value_or(ours_);
    claimed.instance = ours_.instance;
    const bool is_claimed = commit({}, claimed);
    inbox_.wake();
    return is_claimed;
  }

  void take(const Batches& batches) {
    for (const OutgoingBatch& batch : batches) {
      // Those of an earlier session come again.
      if (stage_ == Stage::open && batch.link == links_) {
        waiting_.push_back(batch);
      } else {
        handlers_.done(batch.id, false);
      }
    }
    while (!waiting_.empty()) {
      const auto count = static_cast<std::ptrdiff_t>(std::min(waiting_.size(), most_));
      const Batches some(waiting_.begin(), waiting_.begin() + count);
      waiting_.erase(waiting_.begin(), waiting_.begin() + count);
      deliver(some);
    }
  }

  void deliver(const Batches& batches) {
    TargetCursor next = ours_;
    for (const OutgoingBatch& batch : batches) move_to(next, batch.stream, {batch.epoch, batch.to + 1});
    const bool ok = stage_ == Stage::open && commit(batches, next);
    if (ok) {
      ours_ = std::move(next);
      most_ = std::min(most_ * 2, kBatchesMost);
    }
    for (const OutgoingBatch& batch : batches) {
      if (ok) watch_.on_delivered(batch.stream);
      handlers_.done(batch.id, ok);
    }
  }

  // The batches and the cursor in one transaction. False: the session has ended.
  bool commit(const Batches& batches, const TargetCursor& cursor) {
    const BootTime since = clock_.boot_now();
    if (const Step begun = producer_->begin_transaction(); !begun.is_done()) return close_after(begun);
    for (const OutgoingBatch& batch : batches) {
      if (!wait_for_reports(KafkaProducer::kMessagesMost, since, batches.size())) return false;
      if (const auto failure = produce(batch); !failure.empty()) return close(failure);
    }
    count(producer_->produce_cursor(key_, to_json(cursor), nullptr), nullptr);
    if (!wait_for_reports(0, since, batches.size())) return false;
    while (!must_close_) {
      const Step step = producer_->commit_transaction(kStep);
      producer_->serve();
      if (step.is_done()) {
        watch_.on_waiting(clock_.boot_now(), std::nullopt);
        return true;
      }
      if (!step.can_repeat) return close_after(step);
      if (!may_wait(since, batches.size())) return false;
    }
    return close(reason_);
  }

  // Until at most so many messages have none, or the producer has ended. False: it took too long, and the session has
  // ended.
  bool wait_for_reports(std::size_t left, BootTime since, std::size_t batches) {
    while (unreported_ > left && !must_close_) {
      if (!may_wait(since, batches)) return false;
      inbox_.wait(kStep);
      producer_->serve();
    }
    return true;
  }

  // The reason when it cannot be.
  std::string produce(const OutgoingBatch& batch) {
    producer_->set_headers(batch);
    const auto made = messages_.for_each(batch, [&](const KafkaProducer::Message& message) {
      Stream* const mark = &streams_[static_cast<std::size_t>(message.stream)];
      count(producer_->produce(message, mark), mark);
      return !must_close_;
    });
    if (!made) return made.error().message;
    return must_close_ ? reason_ : "";
  }

  void count(rd_kafka_resp_err_t error, const void* mark) {
    ++unreported_;
    if (error != RD_KAFKA_RESP_ERR_NO_ERROR) on_delivered(mark, error);
  }

  // False when it has lasted too long, and the session has ended. On a slow way less goes into one, until it gets
  // through.
  bool may_wait(BootTime since, std::size_t batches) {
    const BootTime now = clock_.boot_now();
    const auto ends_by = inbox_.ends_by();
    if (now >= since + kTransactionMost || (ends_by && now >= *ends_by)) {
      most_ = std::max<std::size_t>(batches / 2, 1);
      return close("a transaction was not committed in time");
    }
    watch_.on_waiting(now, since);
    if (watch_.wants_probe(now)) probe_.ask(*producer_, watch_, clock_);
    watch_.tell();
    return true;
  }

  // The mark is the record's stream; a cursor has none.
  void on_delivered(const void* mark, rd_kafka_resp_err_t error) {
    --unreported_;
    if (error == RD_KAFKA_RESP_ERR_NO_ERROR) return;
    const bool has_own_word = error != RD_KAFKA_RESP_ERR__FATAL && error != RD_KAFKA_RESP_ERR__PURGE_QUEUE &&
                              error != RD_KAFKA_RESP_ERR__GAPLESS_GUARANTEE;
    const std::string topic =
        mark == nullptr ? options_.cursor_topic : producer_->topic(*static_cast<const Stream*>(mark));
    const std::string text = producer_->text_of(error);
    fail_with(error, has_own_word ? describe_kafka_refusal(error, text, topic) : describe_kafka_outage(error, text));
  }

  void on_problem(rd_kafka_resp_err_t error, const std::string& text, bool is_fatal) {
    if (error == RD_KAFKA_RESP_ERR__AUTHENTICATION) tokens_.on_refused();
    is_fatal ? fail_with(error, describe_kafka_outage(error, text)) : watch_.on_problem(error, text);
  }

  // The first reason is the one that says most; what follows is purged by it.
  void fail_with(rd_kafka_resp_err_t error, const std::string& reason) {
    if (Step{error}.is_fenced()) is_fenced_ = true;
    if (!std::exchange(must_close_, true)) reason_ = reason;
  }

  bool close_after(const Step& step) {
    if (step.is_fenced()) is_fenced_ = true;
    return close(describe_kafka_outage(step.error, step.text));
  }

  // What the session had not committed is given up with its producer. Always false.
  bool close(const std::string& reason) {
    producer_.reset();
    must_close_ = false;
    unreported_ = 0;
    const BootTime now = clock_.boot_now();
    watch_.on_waiting(now, std::nullopt);
    reopen_at_ = now + kReopenPause;
    judge_at_ = now + kBeforeJudging;
    stage_ = std::exchange(is_fenced_, false) ? Stage::fenced : Stage::closed;
    if (inbox_.ends_by()) return false;
    complain(reason);
    tell_down(reason);
    return false;
  }

  // The coordinator fences a producer too that was silent within a transaction for too long.
  void judge() {
    const auto found = read_cursor();
    if (!found) {
      judge_at_ = clock_.boot_now() + kBeforeJudging;
      return tell_down(found.error().message);
    }
    stage_ = Stage::closed;
    // Where only the one of before us has written, who took over has not come so far, or is gone.
    const bool is_known = !*found || (*found)->instance == ours_.instance || (*found)->instance == found_instance_;
    if (is_known) return;
    stage_ = Stage::given_up;
    const auto reason = describe_successor("cluster", gateway_, options_.forwarder.name, (*found)->instance);
    log_error("uplink " + options_.forwarder.name, "{}", reason);
    tokens_.stop();
    tell_link_down(reason);
  }

  void complain(const std::string& reason) {
    if (const auto left_out = complaints_.admit(reason, clock_.boot_now())) {
      log_warning("uplink " + options_.forwarder.name, "{}; what was not committed is sent again{}", reason,
                  since_last_line(*left_out));
    }
  }

  void tell_down(const std::string& outage, bool may_be_of_login = false) {
    tell_link_down(tokens_.explain(outage, may_be_of_login));
  }

  void tell_link_down(const std::string& reason) {
    if (std::exchange(is_down_told_, true) && reason == down_reason_) return;
    down_reason_ = reason;
    handlers_.link(false, reason);
  }

  const KafkaUplinkOptions options_;
  const std::string gateway_;
  const std::string key_;
  const TransportHandlers handlers_;
  const TransportHandlers watch_handlers_;
  const SystemClock clock_;
  KafkaLibrary library_;
  KafkaMessages messages_;
  KafkaTokens tokens_;
  const KafkaAccess access_{library_, options_, gateway_, tokens_};
  KafkaWatch watch_;
  KafkaProbe probe_;
  ComplaintFilter complaints_;
  Stage stage_ = Stage::closed;
  TargetCursor ours_;
  std::string found_instance_;  // who wrote the cursor that was read back
  std::uint64_t links_ = 0;     // how often the link came up
  Batches waiting_;
  std::size_t most_ = kBatchesMost;  // batches in a transaction
  std::array<Stream, kStreamCount> streams_{Stream::readings, Stream::alarms, Stream::events};  // marks of messages
  std::size_t unreported_ = 0;
  bool must_close_ = false;
  bool is_fenced_ = false;
  std::string reason_;  // of must_close_
  bool is_down_told_ = false;
  std::string down_reason_;
  BootTime reopen_at_{};
  BootTime judge_at_{};
  TransportInbox& inbox_;
  std::unique_ptr<KafkaProducer> producer_;
};

}  // namespace

std::unique_ptr<Transport> make_kafka_exactly_once_transport(KafkaUplinkOptions options, std::string gateway,
                                                             LogHistory history, TransportHandlers handlers) {
  const auto make = [options, gateway, history = std::move(history)](const std::optional<AvroSchemaIds>& ids,
                                                                     TransportHandlers own) {
    return std::make_unique<ThreadedTransport>(options.forwarder.name, own, [&](TransportInbox& inbox) {
      return std::make_unique<KafkaExactlyOnce>(options, gateway, history, own, inbox, ids);
    });
  };
  if (options.registry) return make_kafka_avro_transport(options, gateway, make, std::move(handlers));
  return make(std::nullopt, std::move(handlers));
}

}  // namespace tidegate::uplink
