#pragma once

#include <string>
#include <vector>

struct rd_kafka_s;

namespace tidegate::testing {

/// A transaction of a producer that is not ours, open from the beginning: a message in each of the topics that nobody
/// who reads what is committed gets before the end, nor anything behind it. Functions throw std::runtime_error.
class KafkaTransaction {
 public:
  KafkaTransaction(const std::vector<std::string>& brokers, const std::vector<std::string>& topics);
  ~KafkaTransaction();
  KafkaTransaction(const KafkaTransaction&) = delete;
  KafkaTransaction& operator=(const KafkaTransaction&) = delete;

  void abort();

 private:
  rd_kafka_s* producer_;
};

}  // namespace tidegate::testing
