#pragma once

#include <array>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "core/error.h"
#include "core/log.h"
#include "core/record.h"
#include "core/time.h"
#include "uplink/forwarder.h"
#include "uplink/kafka/kafka_library.h"
#include "uplink/kafka/kafka_tokens.h"
#include "uplink/options.h"

namespace tidegate::uplink {

/// One producer of librdkafka and the topics of the streams. What the library reports is given out by serve() and not
/// otherwise; `wake_fd`, an eventfd, becomes readable when there is something. One thread.
class KafkaProducer {
 public:
  struct Handlers {
    /// A message was acknowledged, or was not; `mark` came with it.
    std::function<void(void* mark, rd_kafka_resp_err_t error)> delivered;
    /// Of a broker, or of the producer as a whole. After a fatal error it produces nothing any more.
    std::function<void(rd_kafka_resp_err_t error, std::string text, bool is_fatal)> problem;
  };
  struct Message {
    Stream stream = Stream::readings;
    std::string_view key;
    std::string_view value;
  };
  /// How many messages at most should be with the library at a time: enough for all the requests that it has on their
  /// way to a broker, and still in the processor's cache. With 64,000 a message costs twice as much (measured).
  static constexpr std::size_t kMessagesMost = 8'000;
  struct Probe {
    rd_kafka_resp_err_t error = RD_KAFKA_RESP_ERR_NO_ERROR;
    /// What the brokers say of our topics, where they have something to say.
    std::vector<std::pair<std::string, rd_kafka_resp_err_t>> topics{};
  };

  /// What became of a step of a transaction.
  struct Step {
    rd_kafka_resp_err_t error = RD_KAFKA_RESP_ERR_NO_ERROR;
    std::string text{};
    bool can_repeat = false;  // the step, as if it went on
    bool is_done() const { return error == RD_KAFKA_RESP_ERR_NO_ERROR; }
    /// Somebody else produces under our name now.
    bool is_fenced() const;
  };

  static Result<std::unique_ptr<KafkaProducer>> open(const KafkaAccess& access, int wake_fd, Handlers handlers);
  /// What is on its way is given up, without a report.
  ~KafkaProducer();
  KafkaProducer(const KafkaProducer&) = delete;
  KafkaProducer& operator=(const KafkaProducer&) = delete;

  void serve();
  /// The headers of the messages until the next call: what the batch answers for. None where the options say so.
  void set_headers(const OutgoingBatch& batch);
  /// Copies the message into the library's queue. An error says that there will be no report of it.
  rd_kafka_resp_err_t produce(const Message& message, void* mark);
  /// For produce_cursor(). Not before the topic is there, which the library would otherwise ask the broker to make, as
  /// it makes any: with several partitions, and not compacted.
  Result<void> open_cursor_topic(const std::string& topic_template);
  /// Copies the cursor into the library's queue, as a message of its topic. An error as of produce().
  rd_kafka_resp_err_t produce_cursor(std::string_view key, std::string_view value, void* mark);

  /// Of a producer with `exactly_once`. The first step, which ends what an earlier producer of our name had begun and
  /// keeps it from producing any more.
  Step init_transactions(Duration patience);
  Step begin_transaction();
  /// When there is a good report of every message.
  Step commit_transaction(Duration patience);

  /// Asks a broker for our topics, at most so long.
  Probe probe(Duration patience);

  const std::string& topic(Stream stream) const { return topic_names_[static_cast<std::size_t>(stream)]; }
  std::string text_of(rd_kafka_resp_err_t error) const { return library_.err2str_(error); }

 private:
  KafkaProducer(const KafkaAccess& access, Handlers handlers);
  Result<void> connect(const KafkaUplinkOptions& options, int wake_fd);
  Result<void> open_topics(const KafkaUplinkOptions& options);
  Result<rd_kafka_topic_t*> open_topic(const Result<std::string>& name) const;
  rd_kafka_resp_err_t produce(rd_kafka_topic_t* topic, const Message& message, rd_kafka_headers_t* headers, void* mark);
  Step step(rd_kafka_error_t* failure) const;
  void give_out(rd_kafka_event_t& event);
  void give_out_error(rd_kafka_event_t& event);
  void log(rd_kafka_event_t& event);

  const KafkaLibrary library_;
  const std::string name_;
  const bool has_headers_;
  const std::string gateway_;
  KafkaTokens& tokens_;
  const Handlers handlers_;
  std::uint64_t token_given_ = 0;
  rd_kafka_t* producer_ = nullptr;
  rd_kafka_queue_t* events_ = nullptr;
  std::array<rd_kafka_topic_t*, kStreamCount> topics_{};
  std::array<std::string, kStreamCount> topic_names_;
  rd_kafka_topic_t* cursor_topic_ = nullptr;
  rd_kafka_headers_t* headers_ = nullptr;
  ComplaintFilter complaints_;
};

}  // namespace tidegate::uplink
