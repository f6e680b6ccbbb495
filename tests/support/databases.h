#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "tests/support/process_under_test.h"
#include "tests/support/temporary_directory.h"

namespace tidegate::testing {

/// InfluxDB 1.x in a process of its own, at ports of 127.0.0.1 that stay, as what it holds, when it is stopped and
/// started again. It dies with the thread that started it. Functions throw std::runtime_error, with its own words.
class InfluxDatabase {
 public:
  /// `programs` is the directory of influxd.
  explicit InfluxDatabase(const std::string& programs);

  /// Returns when it answers.
  void start();
  /// SIGTERM; returns when it is gone.
  void stop();
  std::string address() const { return "127.0.0.1:" + std::to_string(port_); }
  /// What it answers to a query; `encoded` as it stands in a URL.
  std::string query(const std::string& encoded) const;

 private:
  const std::string program_;
  const std::uint16_t port_;
  TemporaryDirectory directory_;
  std::unique_ptr<ProcessUnderTest> process_;
};

/// Prometheus in a process of its own, which scrapes one target each second. Likewise.
class PrometheusServer {
 public:
  /// `programs` is the directory of prometheus.
  PrometheusServer(const std::string& programs, const std::string& target);

  /// Returns when it answers.
  void start();
  /// The values that an expression has now, as it stands in a URL; of each series one.
  std::vector<double> values(const std::string& encoded) const;

 private:
  const std::string program_;
  const std::uint16_t port_;
  TemporaryDirectory directory_;
  std::unique_ptr<ProcessUnderTest> process_;
};

}  // namespace tidegate::testing
