#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "tests/support/process_under_test.h"
#include "tests/support/temporary_directory.h"

namespace tidegate::testing {

/// Apache Kafka itself, one node that is its own controller, in a process of its own. Topics are made when they are
/// asked for, with eight partitions. What it holds and its ports stay when it is stopped or killed and started again.
/// Functions throw std::runtime_error.
class KafkaBroker {
 public:
  /// `jars` is a directory with the broker's jars and those that they need.
  explicit KafkaBroker(const std::string& jars);

  /// Returns when it answers.
  void start();
  /// SIGTERM.
  void stop();
  /// SIGKILL.
  void kill();

  std::vector<std::string> brokers() const;
  /// The same, where a token is asked for (SASL OAUTHBEARER) that nobody needs to have signed, and a connection ends
  /// with its token.
  std::vector<std::string> brokers_for_tokens() const;

 private:
  std::vector<std::string> java(std::vector<std::string> arguments) const;

  const std::string jars_;
  const std::uint16_t port_;
  const std::uint16_t token_port_;
  TemporaryDirectory directory_;
  std::unique_ptr<ProcessUnderTest> process_;
};

}  // namespace tidegate::testing
