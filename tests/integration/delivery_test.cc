#include <gtest/gtest.h>

#include "tests/integration/relay_rig.h"

namespace tidegate::testing {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr std::uint64_t kMiB = 1024 * 1024;

void deliver_all(RelayRig::Load load) {
  RelayRig rig(load);
  rig.start_gateway();
  rig.publisher().start();
  EXPECT_TRUE(rig.publisher().wait_for_all(seconds(120)));
  rig.expect_all_arrived(seconds(120));
  EXPECT_EQ(rig.checker().report().repeats, 0u);
  rig.gateway().stop();
}

struct Outage {
  std::uint64_t begins_at = 0;  // readings acknowledged by the source broker
  milliseconds length{};
};

// Returns by how much the daemon's memory grew over its value before the outage, from then until all had arrived.
std::uint64_t deliver_through_outage(RelayRig::Load load, Outage outage) {
  RelayRig rig(load);
  rig.start_gateway();
  rig.publisher().start();
  EXPECT_TRUE(rig.publisher().wait_for_acknowledged(outage.begins_at, seconds(60)));
  const std::uint64_t before = rig.gateway().process().resident_bytes();
  rig.target().stop();
  std::uint64_t most = rig.watch_memory(outage.length);
  rig.target().start();
  EXPECT_TRUE(rig.publisher().wait_for_all(seconds(120)));
  rig.expect_all_arrived(seconds(120));
  most = std::max(most, rig.gateway().process().resident_bytes());
  std::printf("resident before %.1f MiB, most %.1f MiB\n", static_cast<double>(before) / kMiB,
              static_cast<double>(most) / kMiB);
  rig.gateway().stop();
  return most > before ? most - before : 0;
}

TEST(Delivery, BringsAHundredThousandReadingsInOrder) { deliver_all({100'000, 10'000}); }

TEST(Delivery, BringsAllThroughAnOutageOfTenSecondsInFlatMemory) {
  EXPECT_LT(deliver_through_outage({100'000, 10'000}, {30'000, seconds(10)}), 4 * kMiB);
}

// Such a broker closes the connection on a larger packet and says nothing.
TEST(Delivery, MakesSmallerBatchesForATargetWithALimitAndLosesNothing) {
  MosquittoBroker target("max_queued_messages 0\nmax_packet_size 40000\n");
  target.start();
  BatchSubscriber checker(target.port(), "tidegate/+/readings", NumberedReadings{0});
  checker.start();
  GatewayProcess gateway;
  gateway.configure(
      "[[driver.simulator]]\nname = \"sim\"\ndevices = 40\ntags = 50\ninterval = \"500ms\"\n"
      "[[uplink.mqtt]]\nname = \"cloud\"\nbroker = \"" +
      target.uri() + "\"\n");
  gateway.start();
  EXPECT_TRUE(gateway.wait_for_metric("tidegate_readings_delivered_total{uplink=\"cloud\",stream=\"readings\"}", 50'000,
                                      seconds(120)))
      << gateway.log();
  EXPECT_EQ(lines_with(gateway.log(), "batch.max_bytes").size(), 1U) << gateway.log();
  EXPECT_EQ(gateway.metric("tidegate_uplink_account_mismatch{stream=\"readings\",uplink=\"cloud\"}"), 0);
  const auto report = checker.report();
  EXPECT_EQ(report.chain_breaks + report.malformed + report.gap_records, 0U)
      << ::testing::PrintToString(report.complaints);
  gateway.stop();
}

TEST(DeliveryShort, BringsAllInOrder) { deliver_all({5'000, 2'000}); }

TEST(DeliveryShort, BringsAllThroughAnOutage) { deliver_through_outage({10'000, 2'000}, {3'000, seconds(3)}); }

TEST(DeliveryLong, BringsAMillionReadingsThroughAnOutageOfTwoMinutesInFlatMemory) {
  EXPECT_LT(deliver_through_outage({1'000'000, 6'000}, {100'000, seconds(120)}), 4 * kMiB);
}

}  // namespace
}  // namespace tidegate::testing
