#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <vector>

struct rd_kafka_s;
struct rd_kafka_mock_cluster_s;

namespace tidegate::testing {

/// The mock cluster of librdkafka: brokers on ports of 127.0.0.1, which other processes can reach too. It checks the
/// sequences of idempotent producers; it knows no isolation of transactions. Functions throw std::runtime_error.
class KafkaCluster {
 public:
  explicit KafkaCluster(int brokers = 1);
  ~KafkaCluster();
  KafkaCluster(const KafkaCluster&) = delete;
  KafkaCluster& operator=(const KafkaCluster&) = delete;

  /// "127.0.0.1:PORT", one a broker.
  std::vector<std::string> brokers() const;
  void create_topic(const std::string& topic, int partitions);
  void set_leader(const std::string& topic, int partition, int broker);
  void set_up(int broker, bool up);
  /// The next requests to produce are answered with these errors (rd_kafka_resp_err_t).
  void refuse_to_produce(const std::vector<int>& errors);
  /// So many requests to produce to this broker are answered with this error.
  void refuse_to_produce_at(int broker, int error, int requests);
  /// How many of those errors no request to the broker has met yet.
  std::size_t refusals_left(int broker = 1) const;
  /// What is asked about the topic, and produced to it, is answered with this error; 0: no more.
  void set_topic_error(const std::string& topic, int error);

 private:
  rd_kafka_s* handle_ = nullptr;
  rd_kafka_mock_cluster_s* cluster_ = nullptr;
};

struct KafkaMessage {
  int partition = 0;
  std::int64_t offset = 0;
  std::string key;
  std::string value;
  std::map<std::string, std::string> headers;
};

/// Visits everything that a topic holds, in each partition in the order of the offsets, as a consumer that reads only
/// what is committed gets it. Throws std::runtime_error when that takes longer than `patience`.
void read_kafka_topic(const std::vector<std::string>& brokers, const std::string& topic,
                      const std::function<void(const KafkaMessage&)>& visit,
                      std::chrono::milliseconds patience = std::chrono::seconds(60));

/// Returns when a broker answers. Throws std::runtime_error when none does within `patience`.
void wait_for_kafka(const std::vector<std::string>& brokers, std::chrono::milliseconds patience);

}  // namespace tidegate::testing
