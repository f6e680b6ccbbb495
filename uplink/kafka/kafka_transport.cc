#include <algorithm>
#include <chrono>
#include <cstdint>
#include <deque>
#include <list>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "core/clock.h"
#include "core/log.h"
#include "uplink/batch_order.h"
#include "uplink/kafka/kafka_avro.h"
#include "uplink/kafka/kafka_messages.h"
#include "uplink/kafka/kafka_probe.h"
#include "uplink/kafka/kafka_producer.h"
#include "uplink/kafka/kafka_tokens.h"
#include "uplink/kafka/kafka_troubles.h"
#include "uplink/kafka/kafka_watch.h"
#include "uplink/threaded_transport.h"

namespace tidegate::uplink {
namespace {

using std::chrono::seconds;

constexpr Duration kReasonPatience = std::chrono::milliseconds(400);
constexpr Duration kReopenPause = seconds(1);
constexpr Duration kLookEvery = seconds(1);  // at how long batches wait

// The producer keeps the order within a key as long as nothing is refused. A refusal is fatal to it (gapless), and then
// all that was on its way goes out again by a new one, from the oldest batch that was not acknowledged: the same for
// the fatal errors that librdkafka 2.0.2 raises by itself after a lost answer.
class KafkaWorker final : public TransportWorker {
 public:
  KafkaWorker(KafkaUplinkOptions options, std::string gateway, TransportHandlers handlers, TransportInbox& inbox,
              const std::optional<AvroSchemaIds>& ids)
      : options_(std::move(options)),
        gateway_(std::move(gateway)),
        handlers_(std::move(handlers)),
        messages_(gateway_, options_.key, ids),
        tokens_(options_, gateway_),
        watch_(handlers_,
               [this](const auto& outage, bool may_be_of_login) { return tokens_.explain(outage, may_be_of_login); }),
        inbox_(inbox) {}

  Result<void> prepare() override {
    const auto library = KafkaLibrary::load();
    if (!library) return tl::unexpected(library.error());
    library_ = *library;
    if (auto started = tokens_.start([this] { inbox_.wake(); }); !started) return started;
    return open_producer();
  }

  void run() override {
    std::vector<OutgoingBatch> batches;
    for (;;) {
      const std::optional<BootTime> stop_by = inbox_.take(batches);
      waiting_.insert(waiting_.end(), batches.begin(), batches.end());
      take_waiting();
      const BootTime now = clock_.boot_now();
      if (stop_by && (batches_.empty() || now >= *stop_by)) break;
      if (!stop_by) look_after(now);
      wait(stop_by ? std::optional<Duration>(*stop_by - now) : std::nullopt);
      if (producer_) producer_->serve();
      if (must_reopen_) give_up_producer();
    }
    close_producer();
    fail_beside();
    tokens_.stop();
  }

 private:
  struct Batch {
    std::uint64_t id = 0;
    Stream stream = Stream::readings;
    BatchPlace place;
    BootTime since{};
    std::size_t open = 0;  // messages without a report
    bool has_failed = false;
    bool has_messages = false;
    std::string refusal{};  // for what it, or one of its messages, is
  };

  Result<void> open_producer() {
    KafkaProducer::Handlers handlers;
    handlers.delivered = [this](void* mark, rd_kafka_resp_err_t error) {
      on_delivered(*static_cast<Batch*>(mark), error);
    };
    handlers.problem = [this](rd_kafka_resp_err_t error, const std::string& text, bool is_fatal) {
      on_problem(error, text, is_fatal);
    };
    auto opened = KafkaProducer::open(access_, inbox_.wake_fd(), std::move(handlers));
    if (!opened) return tl::unexpected(opened.error());
    producer_ = std::move(*opened);
    must_reopen_ = has_reason_ = false;
    return {};
  }

  void reopen(BootTime now) {
    if (const auto opened = open_producer(); !opened) {
      reopen_at_ = now + kReopenPause;
      watch_.on_outage(opened.error().message);
      return fail_beside();
    }
    for (const OutgoingBatch& batch : std::exchange(beside_, {})) take(batch);
  }

  // A batch has messages when it is looked at, so one is on its way as long as others wait.
  void take_waiting() {
    while (!waiting_.empty() && open_ < KafkaProducer::kMessagesMost) {
      const OutgoingBatch batch = std::move(waiting_.front());
      waiting_.pop_front();
      take(batch);
    }
  }

  void wait(std::optional<Duration> most) const {
    const bool is_watchful = !producer_ || watch_.is_doubtful() || !batches_.empty();
    inbox_.wait(is_watchful ? std::min(most.value_or(kLookEvery), kLookEvery) : most);
  }

  void look_after(BootTime now) {
    if (!producer_ && now >= reopen_at_) reopen(now);
    watch_.on_waiting(now, batches_.empty() ? std::nullopt : std::optional(batches_.front().since));
    if (producer_ && watch_.wants_probe(now)) probe_.ask(*producer_, watch_, clock_);
    watch_.tell();
  }

  void take(const OutgoingBatch& batch) {
    const BatchPlace place(batch);
    if (!producer_ && place.is_beside) return beside_.push_back(batch);
    if (!producer_ || order_.comes_too_early(place)) {
      order_.on_failed(place);
      return handlers_.done(batch.id, false);
    }
    order_.on_taken(place);
    batches_.push_back({batch.id, batch.stream, place, clock_.boot_now(), 0, false, batch.count > 0});
    Batch& taken = batches_.back();
    producer_->set_headers(batch);
    const auto made = messages_.for_each(batch, [&](const KafkaProducer::Message& message) {
      produce(taken, message);
      return !taken.has_failed;
    });
    if (!made) refuse(taken, made.error());
    if (taken.open == 0) finish(taken);
  }

  void produce(Batch& batch, const KafkaProducer::Message& message) {
    const auto error = producer_->produce(message, &batch);
    if (error == RD_KAFKA_RESP_ERR_NO_ERROR) {
      ++batch.open;
      ++open_;
    } else {
      refuse(batch, error);
    }
  }

  void refuse(Batch& batch, rd_kafka_resp_err_t error) {
    // For what another message, or the producer as a whole, has the reason.
    if (error == RD_KAFKA_RESP_ERR__FATAL || error == RD_KAFKA_RESP_ERR__PURGE_QUEUE ||
        error == RD_KAFKA_RESP_ERR__GAPLESS_GUARANTEE) {
      must_reopen_ = true;
      gap_stream_ = batch.stream;
      return mark_failed(batch);
    }
    has_reason_ = true;
    const auto reason = describe_kafka_refusal(error, producer_->text_of(error), producer_->topic(batch.stream));
    if (!is_refusal_of_message(error)) return refuse(batch, reason);
    batch.refusal = reason;
    log_refusal(reason);
    mark_failed(batch);
  }

  // Another try makes no other messages of what is none.
  void refuse(Batch& batch, const Error& why) {
    if (why.code != ErrorCode::give_up_item) return refuse(batch, why.message);
    batch.refusal = why.message;
    log_refusal(why.message);
    mark_failed(batch);
  }

  void refuse(Batch& batch, const std::string& reason) {
    complain(batch.stream, reason);
    mark_failed(batch);
  }

  void complain(Stream stream, const std::string& reason) {
    watch_.on_refused(stream, reason);
    log_refusal(reason);
  }

  void log_refusal(const std::string& reason) {
    if (const auto left_out = complaints_.admit(reason, clock_.boot_now())) {
      log_warning("uplink " + options_.forwarder.name, "{}; the records stay in the log and are sent again later{}",
                  reason, since_last_line(*left_out));
    }
  }

  void mark_failed(Batch& batch) {
    batch.has_failed = true;
    order_.on_failed(batch.place);
  }

  void give_back(const OutgoingBatch& batch) {
    order_.on_failed(BatchPlace(batch));
    handlers_.done(batch.id, false);
  }

  void on_delivered(Batch& batch, rd_kafka_resp_err_t error) {
    --batch.open;
    --open_;
    if (error != RD_KAFKA_RESP_ERR_NO_ERROR) {
      must_reopen_ = true;
      refuse(batch, error);
    }
    if (batch.open == 0) finish(batch);
  }

  void on_problem(rd_kafka_resp_err_t error, const std::string& text, bool is_fatal) {
    if (error == RD_KAFKA_RESP_ERR__AUTHENTICATION) tokens_.on_refused();
    if (!is_fatal) return watch_.on_problem(error, text);
    must_reopen_ = true;
    if (error == RD_KAFKA_RESP_ERR__GAPLESS_GUARANTEE) {
      gap_ = text;
      return;
    }
    log_warning("uplink " + options_.forwarder.name, "the producer has ended, a new one goes on: {}", text);
    watch_.on_outage(describe_kafka_outage(error, text));
  }

  void finish(Batch& batch) {
    const bool ok = !batch.has_failed;
    if (ok && batch.has_messages) watch_.on_delivered(batch.stream);
    report(batch, ok);
    batches_.remove_if([&](const Batch& one) { return &one == &batch; });
  }

  void report(const Batch& batch, bool ok) {
    if (ok || batch.refusal.empty()) return handlers_.done(batch.id, ok);
    BatchFailure how;
    how.refusal = batch.refusal;
    handlers_.failed(batch.id, how);
  }

  // The report of the message that was refused says why, and may come behind the word that the producer has ended;
  // where none does, the library's words have to do.
  void give_up_producer() {
    const BootTime until = clock_.boot_now() + kReasonPatience;
    while (!gap_.empty() && !has_reason_ && !batches_.empty() && clock_.boot_now() < until) {
      inbox_.wait(kReasonPatience / 4);
      producer_->serve();
    }
    if (!gap_.empty() && !has_reason_) complain(gap_stream_, gap_);
    gap_.clear();
    close_producer();
  }

  // What was on its way is unknown.
  void close_producer() {
    producer_.reset();
    must_reopen_ = false;
    reopen_at_ = clock_.boot_now() + kReopenPause;
    for (Batch& batch : batches_) {
      mark_failed(batch);
      report(batch, false);
    }
    batches_.clear();
    open_ = 0;
    for (const OutgoingBatch& batch : std::exchange(waiting_, {})) {
      batch.beside != 0 ? beside_.push_back(batch) : give_back(batch);
    }
  }

  void fail_beside() {
    for (const OutgoingBatch& batch : std::exchange(beside_, {})) handlers_.done(batch.id, false);
  }

  const KafkaUplinkOptions options_;
  const std::string gateway_;
  const TransportHandlers handlers_;
  const SystemClock clock_;
  KafkaLibrary library_;
  KafkaMessages messages_;
  KafkaTokens tokens_;
  const KafkaAccess access_{library_, options_, gateway_, tokens_};
  KafkaWatch watch_;
  KafkaProbe probe_;
  ComplaintFilter complaints_;
  std::deque<OutgoingBatch> waiting_;  // for those to be acknowledged that are on their way
  std::vector<OutgoingBatch> beside_;  // for the next producer: nothing before them is to come first
  std::list<Batch> batches_;           // on their way, oldest first
  std::size_t open_ = 0;               // messages of theirs without a report
  BatchOrder order_;
  bool must_reopen_ = false;
  bool has_reason_ = false;  // for the end of this producer
  std::string gap_;          // what the library says of a gap, and of which stream
  Stream gap_stream_ = Stream::readings;
  BootTime reopen_at_{};
  TransportInbox& inbox_;
  std::unique_ptr<KafkaProducer> producer_;
};

}  // namespace

std::unique_ptr<Transport> make_kafka_transport(KafkaUplinkOptions options, std::string gateway,
                                                TransportHandlers handlers) {
  const auto make = [options, gateway](const std::optional<AvroSchemaIds>& ids, TransportHandlers own) {
    return std::make_unique<ThreadedTransport>(options.forwarder.name, own, [&](TransportInbox& inbox) {
      return std::make_unique<KafkaWorker>(options, gateway, own, inbox, ids);
    });
  };
  if (options.registry) return make_kafka_avro_transport(options, gateway, make, std::move(handlers));
  return make(std::nullopt, std::move(handlers));
}

}  // namespace tidegate::uplink
