#include <gtest/gtest.h>

#include "tests/integration/relay_rig.h"

namespace tidegate::testing {
namespace {

using std::chrono::seconds;

constexpr std::uint64_t kCount = 340'000;
constexpr const char* kDropped = "tidegate_log_dropped_readings_total";

// Full segments stay as they are: written anew, all of the readings would fit.
std::string ring_of(const std::string& when_full) {
  return "[buffer]\nsize = \"1MiB\"\ncompact = false\nwhen_full = \"" + when_full + "\"\n";
}

// The target is away from the beginning, until all is published and the ring has long been full.
class FullRing : public ::testing::Test {
 protected:
  void begin(const std::string& when_full) {
    rig_.gateway().configure(ring_of(when_full) + relay_config(rig_.source().port(), rig_.target().port()));
    rig_.target().stop();
    rig_.start_gateway();
    rig_.publisher().start();
  }
  /// Each number arrived, or a gap record names it; none is unaccounted for. `again` may have been taken twice.
  void expect_all_accounted_for(std::uint64_t again) {
    rig_.target().start();
    EXPECT_TRUE(rig_.checker().wait_for(
        [&](const DeliveryReport& report) { return report.distinct + report.lost >= kCount; }, seconds(60)));
    rig_.checker().wait_for_quiet(seconds(2));
    const auto report = rig_.checker().report();
    EXPECT_GT(report.lost, kCount / 10);
    EXPECT_GE(report.distinct + report.lost, kCount);
    EXPECT_LE(report.distinct + report.lost, kCount + again);
    EXPECT_EQ(report.defects(), 0u) << ::testing::PrintToString(report.complaints);
    EXPECT_LT(report.gap_records, 200u);
    std::printf("arrived %llu, lost as recorded %llu in %llu gap records\n",
                static_cast<unsigned long long>(report.distinct), static_cast<unsigned long long>(report.lost),
                static_cast<unsigned long long>(report.gap_records));
    if (HasFailure()) ADD_FAILURE() << rig_.gateway().log();
  }
  RelayRig rig_{{kCount, 0}};
};

TEST_F(FullRing, DropsTheNewestAndSaysExactlyWhich) {
  begin("drop-newest");
  EXPECT_TRUE(rig_.publisher().wait_for_all(seconds(120))) << "dropped readings are acknowledged all the same";
  expect_all_accounted_for(0);
  // It fills within seconds, so that a lower level may pass unseen between two looks.
  const auto fills = rig_.gateway().tail("events", "\"event\":\"buffer-fill\"");
  ASSERT_FALSE(fills.empty());
  EXPECT_NE(fills.back().find("\"percent\":95"), std::string::npos) << fills.back();
  rig_.gateway().stop();
}

TEST_F(FullRing, DropsTheOldestAndSaysExactlyWhich) {
  constexpr std::uint64_t kHeldByTheUplink = 8 * 500;  // read before they were evicted, and sent after all
  begin("drop-oldest");
  EXPECT_TRUE(rig_.publisher().wait_for_all(seconds(120)));
  expect_all_accounted_for(kHeldByTheUplink);
  rig_.gateway().stop();
}

TEST_F(FullRing, ForgetsNothingDroppedWhenItIsKilled) {
  constexpr std::uint64_t kTakenAgainMax = 60'000;  // what waits in the queue for its drop to be recorded
  begin("drop-newest");
  ASSERT_TRUE(rig_.gateway().wait_for_metric(kDropped, 1'000, seconds(60)));
  rig_.gateway().kill();
  rig_.gateway().start();
  EXPECT_EQ(lines_with(rig_.gateway().log(), "durable and are gone").size(), 0U);
  ASSERT_TRUE(rig_.gateway().wait_for_metric(kDropped, 1'000, seconds(60)));
  rig_.gateway().kill();
  rig_.gateway().start();
  EXPECT_TRUE(rig_.publisher().wait_for_all(seconds(120)));
  expect_all_accounted_for(kTakenAgainMax);
  rig_.gateway().stop();
}

// Sources that cannot be held back skip; nothing that was taken is lost.
TEST(FullRingBlock, HoldsBackAndGoesOnByItself) {
  MosquittoBroker target("max_queued_messages 0\n");
  target.start();
  BatchSubscriber checker(target.port(), "tidegate/+/readings", NumberedReadings{0});
  checker.start();
  target.stop();
  GatewayProcess gateway;
  gateway.configure(ring_of("block") +
                    "[[driver.simulator]]\nname = \"sim\"\ndevices = 40\ntags = 50\ninterval = \"20ms\"\n"
                    "[[uplink.mqtt]]\nname = \"cloud\"\nbroker = \"" +
                    target.uri() + "\"\n");
  gateway.start();
  ASSERT_TRUE(gateway.wait_for_metric("tidegate_driver_skipped_total{driver=\"sim\"}", 1, seconds(120)));
  EXPECT_EQ(gateway.metric("tidegate_log_taking_records"), 0);
  EXPECT_EQ(gateway.metric("tidegate_storage_failed"), 0) << "a full ring is no failure of the disk";
  const double accepted = gateway.metric("tidegate_readings_accepted_total{driver=\"sim\"}");
  target.start();
  EXPECT_TRUE(
      gateway.wait_for_metric("tidegate_readings_accepted_total{driver=\"sim\"}", accepted + 100'000, seconds(60)));
  const auto report = checker.report();
  EXPECT_EQ(report.chain_breaks + report.malformed + report.gap_records, 0u)
      << ::testing::PrintToString(report.complaints);
  EXPECT_EQ(gateway.metric(kDropped), 0);
  EXPECT_EQ(gateway.tail("events", "\"event\":\"gap\"").size(), 0U);
  gateway.stop();
}

}  // namespace
}  // namespace tidegate::testing
