// Two gateways that take the messages of one broker in turns: topic = "$share/GROUP/...".
#include <gtest/gtest.h>

#include <array>
#include <set>
#include <string>

#include "tests/integration/gateway_process.h"
#include "tests/integration/values_in.h"
#include "tests/support/mosquitto_broker.h"
#include "tests/support/mqtt_probe.h"
#include "tests/support/wait_until.h"

namespace tidegate::testing {
namespace {

using std::chrono::seconds;

constexpr const char* kAccepted = "tidegate_readings_accepted_total{driver=\"local\"}";

/// A broker that keeps everything for sessions that are away, and two gateways, each with a session of its own.
class SharedGroup {
 public:
  SharedGroup(const std::string& ack, std::uint64_t count, double rate)
      : readings_{count},
        broker_("max_queued_messages 0\nlog_type subscribe\n"),
        publisher_({start(broker_), readings_, rate}) {
    for (std::size_t i = 0; i < gateways_.size(); ++i) {
      gateways_[i].configure("[buffer]\nsync_interval = \"20ms\"\n[[driver.mqtt]]\nname = \"local\"\nack = \"" + ack +
                             "\"\nclient_id = \"hall-" + std::to_string(i) + "\"\nbroker = \"" + broker_.uri() +
                             "\"\nreconnect_most = \"1s\"\n  [[driver.mqtt.subscribe]]\n"
                             "  topic = \"$share/hall/plant/{device}/{tag}\"\n  value = \"/value\"\n");
      gateways_[i].start();
      EXPECT_TRUE(gateways_[i].wait_for_metric("tidegate_driver_up{driver=\"local\"}", 1, seconds(60)))
          << gateways_[i].log();
    }
  }
  GatewayProcess& operator[](std::size_t i) { return gateways_[i]; }
  NumberedPublisher& publisher() { return publisher_; }

  /// What the log of a gateway holds, and how many records that is.
  std::pair<std::set<std::uint64_t>, std::size_t> taken(std::size_t i) const {
    const auto records = gateways_[i].tail("readings", "\"value\"");
    std::set<std::uint64_t> numbers;
    for (const std::string& record : records) numbers.merge(values_in(record));
    return {numbers, records.size()};
  }
  /// How many records the log of a gateway holds that does not run.
  std::size_t stored(std::size_t i) const {
    return lines_with(gateways_[i]
                          .command({"log", "cat", "--data-dir", gateways_[i].data_directory(), "--stream", "readings"})
                          .output,
                      "\"value\"")
        .size();
  }
  bool wait_for_readings(std::uint64_t least) const {
    return wait_until(
        [&] { return gateways_[0].metric(kAccepted) + gateways_[1].metric(kAccepted) >= static_cast<double>(least); },
        seconds(60));
  }
  /// Of both together.
  std::size_t distinct() const {
    std::set<std::uint64_t> all = taken(0).first;
    all.merge(taken(1).first);
    return all.size();
  }
  void stop() {
    for (GatewayProcess& gateway : gateways_) gateway.stop();
  }

 private:
  static std::uint16_t start(MosquittoBroker& broker) {
    broker.start();
    return broker.port();
  }

  NumberedReadings readings_;
  MosquittoBroker broker_;
  std::array<GatewayProcess, 2> gateways_;
  NumberedPublisher publisher_;
};

void take_turns(const std::string& ack) {
  constexpr std::uint64_t kCount = 2'000;
  SharedGroup group(ack, kCount, 0);
  group.publisher().start();
  ASSERT_TRUE(group.publisher().wait_for_all(seconds(60)));
  ASSERT_TRUE(group.wait_for_readings(kCount));
  const auto [first, first_records] = group.taken(0);
  const auto [second, second_records] = group.taken(1);
  EXPECT_GT(first.size(), 0U);
  EXPECT_GT(second.size(), 0U);
  EXPECT_EQ(first_records + second_records, kCount) << "each message has gone to one of the two";
  EXPECT_EQ(group.distinct(), kCount);
  group.stop();
}

TEST(SharedSubscriptionShort, GatewaysOfAGroupTakeTurnsWhenDurable) { take_turns("durable"); }
TEST(SharedSubscriptionShort, GatewaysOfAGroupTakeTurnsWhenWritten) { take_turns("written"); }

// What the killed one had not acknowledged is the broker's, which gives it to the other one or keeps it until it is
// back.
void lose_nothing_by_a_kill(const std::string& ack) {
  constexpr std::uint64_t kCount = 6'000;
  SharedGroup group(ack, kCount, 1'000);
  group.publisher().start();
  ASSERT_TRUE(group[0].wait_for_metric(kAccepted, 500, seconds(60))) << group[0].log();
  group[0].kill();
  const std::size_t before = group.stored(0);
  ASSERT_TRUE(group.publisher().wait_for_all(seconds(60)));
  group[0].start();
  EXPECT_TRUE(wait_until([&] { return group.distinct() == kCount; }, seconds(60))) << group.distinct();
  EXPECT_GE(before, 500U);
  EXPECT_GT(group.taken(0).second, before) << "it has come back to the group";
  EXPECT_GT(group.taken(1).second, 0U);
  group.stop();
}

TEST(KillShort, AGroupOfGatewaysLosesNothingByAKillWhenDurable) { lose_nothing_by_a_kill("durable"); }
TEST(KillShort, AGroupOfGatewaysLosesNothingByAKillWhenWritten) { lose_nothing_by_a_kill("written"); }

}  // namespace
}  // namespace tidegate::testing
