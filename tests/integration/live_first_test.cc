// What is current goes beside a backlog, through outages and kills, and everything arrives.
#include <gtest/gtest.h>

#include "tests/integration/relay_rig.h"

namespace tidegate::testing {
namespace {

using std::chrono::seconds;

// Older than this is no longer current, with a margin.
constexpr auto kOutage = seconds(8);

struct Course {
  RelayRig::Load load;
  std::uint64_t outage_at = 0;
  std::string backfill_rate;
  unsigned kills = 0;  // while both lanes go
};

bool wait_for(RelayRig& rig, const std::function<bool(const DeliveryReport&)>& reached) {
  return wait_until([&] { return reached(rig.checker().report()); }, seconds(60));
}

// The backlog is slow, so that what comes meanwhile has to go beside it; each kill is in the middle of that.
void deliver_live_first(const Course& course) {
  RelayRig rig(course.load);
  rig.gateway().configure(relay_config(rig.source().port(), rig.target().port()) +
                          "order = \"live-first\"\nbackfill_rate = \"" + course.backfill_rate + "\"\n");
  rig.start_gateway();
  rig.publisher().start();
  ASSERT_TRUE(rig.publisher().wait_for_acknowledged(course.outage_at, seconds(60)));
  rig.target().stop();
  rig.watch_memory(kOutage);
  rig.gateway().kill();  // it connects as soon as it starts, and not after a pause that has grown
  rig.target().start();
  rig.gateway().start();
  EXPECT_TRUE(wait_for(rig, [](const auto& report) { return report.beside > 0; })) << rig.gateway().log();
  for (unsigned i = 0; i < course.kills; ++i) {
    const std::uint64_t before = rig.checker().report().distinct;
    EXPECT_TRUE(wait_for(rig, [&](const auto& report) { return report.distinct > before; }));
    rig.gateway().kill();
    rig.gateway().start();
  }
  EXPECT_TRUE(rig.publisher().wait_for_all(seconds(120)));
  rig.expect_all_arrived(seconds(120), course.kills + 1);
  EXPECT_TRUE(wait_for(rig, [](const auto& report) { return report.skipped_open == 0; }));
  EXPECT_EQ(rig.gateway().metric("tidegate_uplink_account_mismatch{stream=\"readings\",uplink=\"cloud\"}"), 0);
  const std::string backlog = "tidegate_uplink_backlog_readings{uplink=\"cloud\",stream=\"readings\"}";
  EXPECT_TRUE(wait_until([&] { return rig.gateway().metric(backlog) == 0; }, seconds(20)));
  rig.gateway().stop();
}

TEST(LiveFirstShort, SendsWhatIsCurrentBesideTheBacklogAndAllArrives) {
  deliver_live_first({{12'000, 600}, 60, "1000/s", 0});  // before anything has left
}

TEST(LiveFirst, LosesNothingWhenKilledWhileBothLanesGo) { deliver_live_first({{36'000, 1'500}, 1'500, "1500/s", 3}); }

}  // namespace
}  // namespace tidegate::testing
