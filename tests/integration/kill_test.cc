#include <gtest/gtest.h>

#include "tests/integration/relay_rig.h"

namespace tidegate::testing {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

struct Outage {
  std::uint64_t begins_at = 0;
  milliseconds until_kill{};
  milliseconds after_kill{};
};

// The target broker goes, the daemon is killed in the middle of that, and started again at once.
void deliver_through_kill(RelayRig::Load load, Outage outage) {
  RelayRig rig(load);
  rig.start_gateway();
  rig.publisher().start();
  ASSERT_TRUE(rig.publisher().wait_for_acknowledged(outage.begins_at, seconds(60)));
  rig.target().stop();
  rig.watch_memory(outage.until_kill);
  rig.gateway().kill();
  rig.gateway().start();
  rig.watch_memory(outage.after_kill);
  rig.target().start();
  EXPECT_TRUE(rig.publisher().wait_for_all(seconds(120)));
  rig.expect_all_arrived(seconds(120), 1);
  EXPECT_EQ(rig.checker().report().epochs, 2u) << "an unclean stop begins an epoch";
  rig.gateway().stop();
}

TEST(Kill, LosesNothingInTheMiddleOfAnOutage) {
  deliver_through_kill({100'000, 10'000}, {30'000, seconds(4), seconds(6)});
}

TEST(KillShort, LosesNothingInTheMiddleOfAnOutage) {
  deliver_through_kill({10'000, 2'000}, {3'000, seconds(1), seconds(1)});
}

// While the core is held up, acknowledged messages wait between driver and log; then the daemon is killed. Returns how
// many of all readings never arrived.
std::uint64_t lost_behind_a_held_core(const std::map<std::string, std::string>& environment) {
  constexpr std::uint64_t kCount = 3'000;
  constexpr std::size_t kWaiting = 1'000;
  RelayRig rig({kCount, 0}, "all");
  const std::string hold = rig.gateway().directory() + "/hold";
  auto held = environment;
  held["TIDEGATE_TEST_HOLD_CORE"] = hold;
  rig.start_gateway(held);
  write_file(hold, "");
  rig.publisher().start();
  EXPECT_TRUE(wait_until([&] { return rig.acknowledged_by_gateway() >= kWaiting; }, seconds(60)));
  EXPECT_EQ(rig.gateway().metric("tidegate_readings_accepted_total{driver=\"local\"}"), 0)
      << "nothing of it is in the log";
  rig.gateway().kill();
  EXPECT_GE(rig.acknowledged_by_gateway(), kWaiting);
  rig.gateway().start(environment);
  EXPECT_TRUE(rig.publisher().wait_for_all(seconds(60)));
  rig.checker().wait_for([&](const DeliveryReport& report) { return report.distinct == kCount; }, seconds(20));
  rig.checker().wait_for_quiet(seconds(2));
  const auto report = rig.checker().report();
  EXPECT_EQ(report.altered + report.changed_repeats + report.malformed + report.chain_breaks, 0u)
      << ::testing::PrintToString(report.complaints);
  for (const auto& complaint : report.complaints) std::printf("  %s\n", complaint.c_str());
  std::printf("acknowledged while held up: at least %zu; lost %llu of %llu, taken twice %llu\n", kWaiting,
              static_cast<unsigned long long>(kCount - report.distinct), static_cast<unsigned long long>(kCount),
              static_cast<unsigned long long>(report.taken_twice));
  return kCount - report.distinct;
}

TEST(KillShort, LosesNothingThatWaitsAcknowledgedBetweenDriverAndLog) { EXPECT_EQ(lost_behind_a_held_core({}), 0u); }

// The same with a queue in plain memory, to show that the test above can be red.
TEST(KillShort, WouldLoseWhatWaitsInPlainMemory) {
  EXPECT_GE(lost_behind_a_held_core({{"TIDEGATE_TEST_PLAIN_QUEUE", "1"}}), 1'000u);
}

TEST(Kill, LosesNothingWhenKilledAgainAndAgain) {
  constexpr int kKills = 8;
  RelayRig rig({60'000, 4'000});
  rig.start_gateway();
  rig.publisher().start();
  for (int i = 1; i <= kKills; ++i) {
    ASSERT_TRUE(rig.publisher().wait_for_acknowledged(static_cast<std::uint64_t>(i) * 6'000, seconds(60)));
    rig.gateway().kill();
    rig.gateway().start();
  }
  EXPECT_TRUE(rig.publisher().wait_for_all(seconds(120)));
  rig.expect_all_arrived(seconds(120), kKills);
  EXPECT_EQ(rig.checker().report().epochs, kKills + 1u);
}

}  // namespace
}  // namespace tidegate::testing
