#include "tests/support/kafka_cluster.h"

#include <librdkafka/rdkafka.h>
#include <librdkafka/rdkafka_mock.h>

#include <array>
#include <memory>
#include <stdexcept>

#include "core/text.h"

namespace tidegate::testing {
namespace {

constexpr int kProduce = 0;  // ApiKey

void expect(rd_kafka_resp_err_t error, const std::string& what) {
  if (error != RD_KAFKA_RESP_ERR_NO_ERROR) throw std::runtime_error(what + ": " + rd_kafka_err2str(error));
}

rd_kafka_t* make_client(rd_kafka_type_t type, const std::map<std::string, std::string>& settings) {
  std::array<char, 512> problem{};
  rd_kafka_conf_t* const conf = rd_kafka_conf_new();
  for (const auto& [name, value] : settings) {
    if (rd_kafka_conf_set(conf, name.c_str(), value.c_str(), problem.data(), problem.size()) != RD_KAFKA_CONF_OK) {
      throw std::runtime_error(problem.data());
    }
  }
  rd_kafka_t* const client = rd_kafka_new(type, conf, problem.data(), problem.size());
  if (client == nullptr) throw std::runtime_error(problem.data());
  return client;
}

using Client = std::unique_ptr<rd_kafka_t, decltype(&rd_kafka_destroy)>;
using Message = std::unique_ptr<rd_kafka_message_t, decltype(&rd_kafka_message_destroy)>;

KafkaMessage read_message(const rd_kafka_message_t& message) {
  KafkaMessage read{message.partition,
                    message.offset,
                    std::string(static_cast<const char*>(message.key), message.key_len),
                    std::string(static_cast<const char*>(message.payload), message.len),
                    {}};
  rd_kafka_headers_t* headers = nullptr;
  if (rd_kafka_message_headers(&message, &headers) != RD_KAFKA_RESP_ERR_NO_ERROR) return read;
  const char* name = nullptr;
  const void* value = nullptr;
  std::size_t size = 0;
  for (std::size_t i = 0; rd_kafka_header_get_all(headers, i, &name, &value, &size) == RD_KAFKA_RESP_ERR_NO_ERROR;
       ++i) {
    read.headers[name] = std::string(static_cast<const char*>(value), size);
  }
  return read;
}

int partitions_of(rd_kafka_t* client, const std::string& topic, int patience_ms) {
  rd_kafka_topic_t* const handle = rd_kafka_topic_new(client, topic.c_str(), nullptr);
  const rd_kafka_metadata_t* found = nullptr;
  const auto error = rd_kafka_metadata(client, 0, handle, &found, patience_ms);
  rd_kafka_topic_destroy(handle);
  expect(error, "metadata of " + topic);
  const int partitions = found->topic_cnt == 1 ? found->topics[0].partition_cnt : 0;
  rd_kafka_metadata_destroy(found);
  return partitions;
}

void assign_all(rd_kafka_t* consumer, const std::string& topic, int partitions) {
  rd_kafka_topic_partition_list_t* const all = rd_kafka_topic_partition_list_new(partitions);
  for (int p = 0; p < partitions; ++p) {
    rd_kafka_topic_partition_list_add(all, topic.c_str(), p)->offset = RD_KAFKA_OFFSET_BEGINNING;
  }
  const auto error = rd_kafka_assign(consumer, all);
  rd_kafka_topic_partition_list_destroy(all);
  expect(error, "assign " + topic);
}

std::string joined(const std::vector<std::string>& brokers) {
  std::string list;
  for (const std::string& broker : brokers) list += (list.empty() ? "" : ",") + broker;
  return list;
}

}  // namespace

KafkaCluster::KafkaCluster(int brokers) : handle_(make_client(RD_KAFKA_PRODUCER, {{"client.id", "mock"}})) {
  cluster_ = rd_kafka_mock_cluster_new(handle_, brokers);
  if (cluster_ == nullptr) throw std::runtime_error("no mock cluster");
}

KafkaCluster::~KafkaCluster() {
  rd_kafka_mock_cluster_destroy(cluster_);
  rd_kafka_destroy(handle_);
}

std::vector<std::string> KafkaCluster::brokers() const {
  std::vector<std::string> brokers;
  for (const std::string_view one : split(rd_kafka_mock_cluster_bootstraps(cluster_), ',')) brokers.emplace_back(one);
  return brokers;
}

void KafkaCluster::create_topic(const std::string& topic, int partitions) {
  expect(rd_kafka_mock_topic_create(cluster_, topic.c_str(), partitions, 1), "create " + topic);
}

void KafkaCluster::set_leader(const std::string& topic, int partition, int broker) {
  expect(rd_kafka_mock_partition_set_leader(cluster_, topic.c_str(), partition, broker), "leader of " + topic);
}

void KafkaCluster::set_up(int broker, bool up) {
  expect(up ? rd_kafka_mock_broker_set_up(cluster_, broker) : rd_kafka_mock_broker_set_down(cluster_, broker),
         "broker");
}

void KafkaCluster::refuse_to_produce(const std::vector<int>& errors) {
  std::vector<rd_kafka_resp_err_t> codes;
  for (const int error : errors) codes.push_back(static_cast<rd_kafka_resp_err_t>(error));
  rd_kafka_mock_push_request_errors_array(cluster_, kProduce, codes.size(), codes.data());
}

void KafkaCluster::refuse_to_produce_at(int broker, int error, int requests) {
  for (int i = 0; i < requests; ++i) {
    expect(rd_kafka_mock_broker_push_request_error_rtts(cluster_, broker, kProduce, 1,
                                                        static_cast<rd_kafka_resp_err_t>(error), 0),
           "errors of a broker");
  }
}

std::size_t KafkaCluster::refusals_left(int broker) const {
  std::size_t left = 0;
  expect(rd_kafka_mock_broker_error_stack_cnt(cluster_, broker, kProduce, &left), "errors");
  return left;
}

void KafkaCluster::set_topic_error(const std::string& topic, int error) {
  rd_kafka_mock_topic_set_error(cluster_, topic.c_str(), static_cast<rd_kafka_resp_err_t>(error));
}

void read_kafka_topic(const std::vector<std::string>& brokers, const std::string& topic,
                      const std::function<void(const KafkaMessage&)>& visit, std::chrono::milliseconds patience) {
  const auto deadline = std::chrono::steady_clock::now() + patience;
  const Client consumer(make_client(RD_KAFKA_CONSUMER, {{"bootstrap.servers", joined(brokers)},
                                                        {"group.id", "reader"},
                                                        {"enable.auto.commit", "false"},
                                                        {"enable.partition.eof", "true"},
                                                        {"isolation.level", "read_committed"}}),
                        &rd_kafka_destroy);
  rd_kafka_poll_set_consumer(consumer.get());
  int open = partitions_of(consumer.get(), topic, static_cast<int>(patience.count()));
  assign_all(consumer.get(), topic, open);
  while (open > 0) {
    if (std::chrono::steady_clock::now() > deadline)
      throw std::runtime_error(topic + " was not read to its end in time");
    const Message message(rd_kafka_consumer_poll(consumer.get(), 100), &rd_kafka_message_destroy);
    if (!message) continue;
    if (message->err == RD_KAFKA_RESP_ERR__PARTITION_EOF) --open;
    if (message->err == RD_KAFKA_RESP_ERR_NO_ERROR) visit(read_message(*message));
  }
}

void wait_for_kafka(const std::vector<std::string>& brokers, std::chrono::milliseconds patience) {
  const Client client(make_client(RD_KAFKA_PRODUCER, {{"bootstrap.servers", joined(brokers)}, {"log_level", "0"}}),
                      &rd_kafka_destroy);
  const rd_kafka_metadata_t* found = nullptr;
  expect(rd_kafka_metadata(client.get(), 0, nullptr, &found, static_cast<int>(patience.count())), "metadata");
  rd_kafka_metadata_destroy(found);
}

}  // namespace tidegate::testing
