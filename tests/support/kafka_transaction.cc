#include "tests/support/kafka_transaction.h"

#include <librdkafka/rdkafka.h>

#include <array>
#include <stdexcept>

namespace tidegate::testing {
namespace {

constexpr int kPatienceMilliseconds = 60'000;

void expect(rd_kafka_error_t* error, const std::string& what) {
  if (error == nullptr) return;
  const std::string text = what + ": " + rd_kafka_error_string(error);
  rd_kafka_error_destroy(error);
  throw std::runtime_error(text);
}

void produce(rd_kafka_t* producer, const std::string& topic) {
  std::string text = "theirs";
  const auto error = rd_kafka_producev(
      producer, RD_KAFKA_V_TOPIC(topic.c_str()), RD_KAFKA_V_PARTITION(0), RD_KAFKA_V_KEY(text.data(), text.size()),
      RD_KAFKA_V_VALUE(text.data(), text.size()), RD_KAFKA_V_MSGFLAGS(RD_KAFKA_MSG_F_COPY), RD_KAFKA_V_END);
  if (error != RD_KAFKA_RESP_ERR_NO_ERROR) throw std::runtime_error(topic + ": " + rd_kafka_err2str(error));
}

}  // namespace

KafkaTransaction::KafkaTransaction(const std::vector<std::string>& brokers, const std::vector<std::string>& topics) {
  std::array<char, 512> problem{};
  rd_kafka_conf_t* const conf = rd_kafka_conf_new();
  rd_kafka_conf_set(conf, "bootstrap.servers", brokers.front().c_str(), problem.data(), problem.size());
  rd_kafka_conf_set(conf, "transactional.id", "theirs", problem.data(), problem.size());
  rd_kafka_conf_set(conf, "transaction.timeout.ms", "600000", problem.data(), problem.size());
  producer_ = rd_kafka_new(RD_KAFKA_PRODUCER, conf, problem.data(), problem.size());
  if (producer_ == nullptr) throw std::runtime_error(problem.data());
  expect(rd_kafka_init_transactions(producer_, kPatienceMilliseconds), "init_transactions");
  expect(rd_kafka_begin_transaction(producer_), "begin_transaction");
  for (const std::string& topic : topics) produce(producer_, topic);
  const auto error = rd_kafka_flush(producer_, kPatienceMilliseconds);
  if (error != RD_KAFKA_RESP_ERR_NO_ERROR) throw std::runtime_error(rd_kafka_err2str(error));
}

KafkaTransaction::~KafkaTransaction() { rd_kafka_destroy(producer_); }

void KafkaTransaction::abort() { expect(rd_kafka_abort_transaction(producer_, kPatienceMilliseconds), "abort"); }

}  // namespace tidegate::testing
