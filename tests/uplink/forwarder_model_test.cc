#include <gtest/gtest.h>

#include <cstdint>
#include <cstdio>
#include <cstdlib>

#include "tests/support/seed.h"
#include "tests/uplink/forwarder_simulation.h"

namespace tidegate::uplink::testing {
namespace {

using tidegate::testing::of_many;

// TIDEGATE_SEEDS: how many; TIDEGATE_SEED: only this one.
void run_seeds(bool link_keeps_order, std::uint64_t seeds) {
  const std::uint64_t first = tidegate::testing::from_environment("TIDEGATE_SEED", 1);
  const std::uint64_t count =
      std::getenv("TIDEGATE_SEED") != nullptr ? 1 : tidegate::testing::from_environment("TIDEGATE_SEEDS", seeds);
  std::uint64_t batches = 0;
  std::uint64_t repeats = 0;
  std::uint64_t split = 0;
  std::uint64_t dead = 0;
  std::uint64_t probes = 0;
  std::uint64_t mended = 0;
  for (std::uint64_t seed = first; seed < first + count; ++seed) {
    ForwarderSimulation simulation(seed, link_keeps_order);
    simulation.run();
    ASSERT_EQ(simulation.problem(), "") << "again with TIDEGATE_SEED=" << seed;
    batches += simulation.batches();
    repeats += simulation.repeats();
    split += simulation.split();
    dead += simulation.dead();
    probes += simulation.probes();
    mended += std::uint64_t{simulation.is_mended()};
  }
  std::printf(
      "%llu seeds from %llu, %llu batches, %llu repeats, %llu beside a backlog, %llu dead letters, "
      "%llu probes, %llu targets corrected\n",
      static_cast<unsigned long long>(count), static_cast<unsigned long long>(first),
      static_cast<unsigned long long>(batches), static_cast<unsigned long long>(repeats),
      static_cast<unsigned long long>(split), static_cast<unsigned long long>(dead),
      static_cast<unsigned long long>(probes), static_cast<unsigned long long>(mended));
  EXPECT_GT(batches, count);
  if (count >= 1000) {  // so that it is no matter of single seeds
    EXPECT_GT(repeats, count / 2);
    EXPECT_GT(split, count / 20);
    EXPECT_GT(dead, count / 10);
    EXPECT_GT(probes, count / 10);
  }
  EXPECT_LE(mended, count / 100);
}

TEST(ForwarderModelTest, LosesNothingAndLeavesNoHoleOverALinkThatKeepsOrder) { run_seeds(true, of_many(10'000, 500)); }

TEST(ForwarderModelTest, LosesNothingOverALinkThatLosesAndReordersSingleBatches) {
  run_seeds(false, of_many(10'000, 500));
}

}  // namespace
}  // namespace tidegate::uplink::testing
