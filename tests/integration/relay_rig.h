#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <memory>
#include <string>

#include "tests/integration/gateway_process.h"
#include "tests/support/mosquitto_broker.h"
#include "tests/support/mqtt_probe.h"
#include "tests/support/wait_until.h"

namespace tidegate::testing {

/// Publisher -> source broker -> the daemon -> target broker -> checker. The target broker persists and is stopped by
/// SIGTERM, and the checker has a persistent session: what is lost is lost by the daemon.
class RelayRig {
 public:
  struct Load {
    std::uint64_t count = 0;
    double rate = 0;
    int qos = 1;
  };

  /// `source_log` are the kinds of lines that the source broker writes; "all" costs it time.
  explicit RelayRig(Load load, const std::string& source_log = "subscribe")
      : readings_{load.count},
        source_("max_queued_messages 0\nlog_type " + source_log + "\n"),
        target_("max_queued_messages 0\npersistence true\npersistence_location {dir}/\n") {
    source_.start();
    target_.start();
    gateway_.configure(relay_config(source_.port(), target_.port()));
    checker_ = std::make_unique<BatchSubscriber>(target_.port(), "tidegate/#", readings_);
    checker_->start();
    publisher_ =
        std::make_unique<NumberedPublisher>(NumberedPublisher::Options{source_.port(), readings_, load.rate, load.qos});
  }

  /// The daemon, and its subscription at the source broker: nothing published before that would be for it.
  void start_gateway(const std::map<std::string, std::string>& environment = {}) {
    gateway_.start(environment);
    if (!wait_until([this] { return source_.log().find("plant/+/+") != std::string::npos; },
                    std::chrono::seconds(30))) {
      throw std::runtime_error("the daemon does not subscribe: " + gateway_.log() + source_.log());
    }
  }

  /// Samples the daemon's memory until `patience` is over; the greatest value in bytes.
  std::uint64_t watch_memory(std::chrono::milliseconds patience) {
    std::uint64_t most = 0;
    wait_until(
        [&] {
          most = std::max(most, gateway_.process().resident_bytes());
          return false;
        },
        patience);
    return most;
  }

  /// How many messages the daemon has acknowledged to the source broker since its first start (source_log "all").
  std::size_t acknowledged_by_gateway() const { return lines_with(source_.log(), "Received PUBACK from ").size(); }

  MosquittoBroker& source() { return source_; }
  MosquittoBroker& target() { return target_; }
  GatewayProcess& gateway() { return gateway_; }
  NumberedPublisher& publisher() { return *publisher_; }
  BatchSubscriber& checker() { return *checker_; }

  /// Everything arrived, unaltered, in order, under one identity each, in a chain without a hole.
  /// After a kill the source broker sends again what it had seen no PUBACK for (the kernel resets the connection, and
  /// PUBACKs on their way go with it). At QoS 1 nobody can tell that from news: it is taken once more, as new records.
  void expect_all_arrived(std::chrono::milliseconds patience, unsigned kills = 0) {
    EXPECT_TRUE(checker_->wait_for_all(patience));
    const auto report = checker_->report();
    EXPECT_EQ(report.distinct, readings_.count)
        << "the first that are missing: " << ::testing::PrintToString(checker_->missing());
    EXPECT_EQ(report.defects(), 0u) << ::testing::PrintToString(report.complaints);
    EXPECT_LE(report.taken_twice, kills * kResentMax);
    EXPECT_EQ(report.gap_records, 0u);
    if (::testing::Test::HasFailure()) ADD_FAILURE() << "the daemon said: " << gateway_.log();
    std::printf("arrived %llu in %llu batches, repeats %llu, resent by the source %llu, epoch %u\n",
                static_cast<unsigned long long>(report.distinct), static_cast<unsigned long long>(report.batches),
                static_cast<unsigned long long>(report.repeats), static_cast<unsigned long long>(report.taken_twice),
                report.epochs);
  }

 private:
  static constexpr std::uint64_t kResentMax = 1'000;  // a kill; what a source has in flight at the most

  NumberedReadings readings_;
  MosquittoBroker source_;
  MosquittoBroker target_;
  GatewayProcess gateway_;
  std::unique_ptr<BatchSubscriber> checker_;
  std::unique_ptr<NumberedPublisher> publisher_;
};

}  // namespace tidegate::testing
