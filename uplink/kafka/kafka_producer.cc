#include "uplink/kafka/kafka_producer.h"

#include <syslog.h>

#include <chrono>
#include <cstdint>
#include <utility>

#include "core/clock.h"
#include "uplink/batch_labels.h"
#include "uplink/kafka/kafka_conf.h"
#include "uplink/kafka/kafka_names.h"
#include "uplink/kafka/kafka_troubles.h"

namespace tidegate::uplink {
namespace {

int to_milliseconds(Duration patience) {
  return static_cast<int>(std::chrono::ceil<std::chrono::milliseconds>(patience).count());
}

}  // namespace

Result<std::unique_ptr<KafkaProducer>> KafkaProducer::open(const KafkaAccess& access, int wake_fd, Handlers handlers) {
  std::unique_ptr<KafkaProducer> producer(new KafkaProducer(access, std::move(handlers)));
  if (auto connected = producer->connect(access.options, wake_fd); !connected) return tl::unexpected(connected.error());
  if (auto opened = producer->open_topics(access.options); !opened) return tl::unexpected(opened.error());
  return producer;
}

KafkaProducer::KafkaProducer(const KafkaAccess& access, Handlers handlers)
    : library_(access.library),
      name_(access.options.forwarder.name),
      has_headers_(access.options.headers),
      gateway_(access.gateway),
      tokens_(access.tokens),
      handlers_(std::move(handlers)) {}

// A producer ends only when nothing of it is held any more.
KafkaProducer::~KafkaProducer() {
  if (headers_ != nullptr) library_.headers_destroy_(headers_);
  for (rd_kafka_topic_t* const topic : topics_) {
    if (topic != nullptr) library_.topic_destroy_(topic);
  }
  if (cursor_topic_ != nullptr) library_.topic_destroy_(cursor_topic_);
  if (events_ != nullptr) {
    library_.queue_io_event_enable_(events_, -1, nullptr, 0);
    library_.queue_destroy_(events_);
  }
  if (producer_ != nullptr) library_.destroy_(producer_);
}

Result<void> KafkaProducer::connect(const KafkaUplinkOptions& options, int wake_fd) {
  const auto conf = kafka_producer_conf(library_, options, gateway_);
  if (!conf) return tl::unexpected(conf.error());
  std::array<char, 512> problem{};
  producer_ = library_.new_(RD_KAFKA_PRODUCER, *conf, problem.data(), problem.size());
  if (producer_ == nullptr) {
    library_.conf_destroy_(*conf);
    return fail(ErrorCode::invalid, "librdkafka makes no producer: " + kafka_words(problem.data()));
  }
  events_ = library_.queue_get_main_(producer_);
  library_.set_log_queue_(producer_, nullptr);
  static constexpr std::uint64_t kOne = 1;
  library_.queue_io_event_enable_(events_, wake_fd, &kOne, sizeof(kOne));
  tokens_.hand_over(library_, producer_, token_given_);
  return {};
}

Result<void> KafkaProducer::open_topics(const KafkaUplinkOptions& options) {
  for (const Stream stream : options.forwarder.streams) {
    const auto name = kafka_topic(options.topic, gateway_, stream);
    const auto topic = open_topic(name);
    if (!topic) return tl::unexpected(topic.error());
    const auto index = static_cast<std::size_t>(stream);
    topics_[index] = *topic;
    topic_names_[index] = *name;
  }
  return {};
}

Result<void> KafkaProducer::open_cursor_topic(const std::string& topic_template) {
  const auto topic = open_topic(kafka_cursor_topic(topic_template, gateway_));
  if (!topic) return tl::unexpected(topic.error());
  cursor_topic_ = *topic;
  return {};
}

Result<rd_kafka_topic_t*> KafkaProducer::open_topic(const Result<std::string>& name) const {
  if (!name) return tl::unexpected(name.error());
  rd_kafka_topic_t* const topic = library_.topic_new_(producer_, name->c_str(), nullptr);
  if (topic == nullptr) return fail(ErrorCode::invalid, "librdkafka does not take the topic " + *name);
  return topic;
}

void KafkaProducer::serve() {
  tokens_.hand_over(library_, producer_, token_given_);
  while (rd_kafka_event_t* const event = library_.queue_poll_(events_, 0)) {
    give_out(*event);
    library_.event_destroy_(event);
  }
}

void KafkaProducer::give_out(rd_kafka_event_t& event) {
  switch (library_.event_type_(&event)) {
    case RD_KAFKA_EVENT_DR:
      while (const rd_kafka_message_t* const message = library_.event_message_next_(&event)) {
        handlers_.delivered(message->_private, message->err);
      }
      return;
    case RD_KAFKA_EVENT_ERROR:
      return give_out_error(event);
    case RD_KAFKA_EVENT_LOG:
      return log(event);
    default:
      return;
  }
}

void KafkaProducer::give_out_error(rd_kafka_event_t& event) {
  const rd_kafka_resp_err_t error = library_.event_error_(&event);
  std::array<char, 512> text{};
  const rd_kafka_resp_err_t fatal = library_.fatal_error_(producer_, text.data(), text.size());
  if (fatal != RD_KAFKA_RESP_ERR_NO_ERROR) return handlers_.problem(fatal, tokens_.words(text.data()), true);
  const char* const reason = library_.event_error_string_(&event);
  handlers_.problem(error, reason == nullptr ? text_of(error) : tokens_.words(reason), false);
}

void KafkaProducer::log(rd_kafka_event_t& event) {
  const char* facility = "";
  const char* text = "";
  int level = LOG_INFO;
  if (library_.event_log_(&event, &facility, &text, &level) != 0) return;
  // A warning of the configuration that we make: which property is experimental.
  const bool is_of_settings = std::string_view(facility) == "CONFWARN";
  const std::string words = tokens_.words(text);
  if (level > LOG_WARNING || is_of_settings) return log_debug("uplink " + name_, "librdkafka: {}: {}", facility, words);
  if (const auto left_out = complaints_.admit(facility, SystemClock().boot_now())) {
    log_warning("uplink " + name_, "librdkafka: {}: {}{}", facility, words, since_last_line(*left_out));
  }
}

void KafkaProducer::set_headers(const OutgoingBatch& batch) {
  if (!has_headers_) return;
  const auto labels = batch_labels(gateway_, batch);
  if (headers_ != nullptr) library_.headers_destroy_(headers_);
  headers_ = library_.headers_new_(labels.size());
  for (const auto& [name, value] : labels) {
    library_.header_add_(headers_, name.data(), static_cast<ssize_t>(name.size()), value.data(),
                         static_cast<ssize_t>(value.size()));
  }
}

rd_kafka_resp_err_t KafkaProducer::produce(const Message& message, void* mark) {
  rd_kafka_headers_t* const headers = has_headers_ ? library_.headers_copy_(headers_) : nullptr;
  return produce(topics_[static_cast<std::size_t>(message.stream)], message, headers, mark);
}

rd_kafka_resp_err_t KafkaProducer::produce_cursor(std::string_view key, std::string_view value, void* mark) {
  return produce(cursor_topic_, {Stream::readings, key, value}, nullptr, mark);
}

rd_kafka_resp_err_t KafkaProducer::produce(rd_kafka_topic_t* topic, const Message& message, rd_kafka_headers_t* headers,
                                           void* mark) {
  std::array<rd_kafka_vu_t, 6> fields{};
  fields[0].vtype = RD_KAFKA_VTYPE_RKT;
  fields[0].u.rkt = topic;
  fields[1].vtype = RD_KAFKA_VTYPE_MSGFLAGS;
  fields[1].u.i = RD_KAFKA_MSG_F_COPY;
  fields[2].vtype = RD_KAFKA_VTYPE_KEY;
  fields[2].u.mem = {const_cast<char*>(message.key.data()), message.key.size()};  // which it only reads
  fields[3].vtype = RD_KAFKA_VTYPE_VALUE;
  fields[3].u.mem = {const_cast<char*>(message.value.data()), message.value.size()};
  fields[4].vtype = RD_KAFKA_VTYPE_OPAQUE;
  fields[4].u.ptr = mark;
  fields[5].vtype = RD_KAFKA_VTYPE_HEADERS;
  fields[5].u.headers = headers;
  const std::size_t count = headers == nullptr ? fields.size() - 1 : fields.size();
  const Step done = step(library_.produceva_(producer_, fields.data(), count));
  if (!done.is_done() && headers != nullptr) library_.headers_destroy_(headers);
  return done.error;
}

KafkaProducer::Step KafkaProducer::init_transactions(Duration patience) {
  return step(library_.init_transactions_(producer_, to_milliseconds(patience)));
}

KafkaProducer::Step KafkaProducer::begin_transaction() { return step(library_.begin_transaction_(producer_)); }

KafkaProducer::Step KafkaProducer::commit_transaction(Duration patience) {
  return step(library_.commit_transaction_(producer_, to_milliseconds(patience)));
}

KafkaProducer::Step KafkaProducer::step(rd_kafka_error_t* failure) const {
  if (failure == nullptr) return {};
  Step found{library_.error_code_(failure), tokens_.words(library_.error_string_(failure)),
             library_.error_is_retriable_(failure) != 0};
  library_.error_destroy_(failure);
  return found;
}

bool KafkaProducer::Step::is_fenced() const {
  return error == RD_KAFKA_RESP_ERR__FENCED || error == RD_KAFKA_RESP_ERR_PRODUCER_FENCED ||
         error == RD_KAFKA_RESP_ERR_INVALID_PRODUCER_EPOCH;
}

KafkaProducer::Probe KafkaProducer::probe(Duration patience) {
  const rd_kafka_metadata_t* found = nullptr;
  Probe probe;
  probe.error = library_.metadata_(producer_, 0, nullptr, &found, to_milliseconds(patience));
  if (probe.error != RD_KAFKA_RESP_ERR_NO_ERROR) return probe;
  for (int i = 0; i < found->topic_cnt; ++i) {
    const rd_kafka_metadata_topic_t& topic = found->topics[i];
    if (topic.err != RD_KAFKA_RESP_ERR_NO_ERROR) probe.topics.emplace_back(topic.topic, topic.err);
  }
  library_.metadata_destroy_(found);
  return probe;
}

}  // namespace tidegate::uplink
