#include <gtest/gtest.h>

#include <algorithm>
#include <random>

#include "tests/integration/relay_rig.h"
#include "tests/support/seed.h"

namespace tidegate::testing {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

/// Lines of the configuration, each ended.
struct Kind {
  std::string buffer;
  std::string driver;
};

/// A relay over a ring so small that segments are filled, evicted and used again all the time, killed at random
/// moments: after a random number of acknowledged readings, a random number of microseconds, or while it starts.
class KillSoak {
 public:
  KillSoak(std::uint64_t kills, std::uint64_t seed, const Kind& kind)
      : kills_(kills), random_(seed), rig_({kills * kReadingsAKill, kRate}) {
    rig_.gateway().configure("[buffer]\nevents_size = \"1MiB\"\n" + kind.buffer +
                             relay_config(rig_.source().port(), rig_.target().port(), kind.driver));
  }

  void run() {
    rig_.start_gateway();
    rig_.publisher().start();
    for (std::uint64_t kill = 1; kill <= kills_ && !::testing::Test::HasFailure(); ++kill) {
      wait_for_the_moment();
      rig_.gateway().kill();
      if (kill % kVerifyEvery == 0) verify(kill);
      start_again();
    }
    EXPECT_TRUE(rig_.publisher().wait_for_all(seconds(120)));
    rig_.expect_all_arrived(seconds(120), static_cast<unsigned>(kills_ + kills_while_starting_));
    EXPECT_GT(rig_.checker().report().epoch, kills_);
    std::printf("%llu kills, %llu more while it started, %llu times verified\n",
                static_cast<unsigned long long>(kills_), static_cast<unsigned long long>(kills_while_starting_),
                static_cast<unsigned long long>(kills_ / kVerifyEvery));
    rig_.gateway().stop();
  }

 private:
  static constexpr std::uint64_t kReadingsAKill = 1'500;
  static constexpr double kRate = 4'000;
  static constexpr std::uint64_t kVerifyEvery = 5;
  static constexpr std::uint64_t kBehindMax = 2'000;

  std::uint64_t up_to(std::uint64_t most) { return std::uniform_int_distribution<std::uint64_t>(0, most)(random_); }

  void wait_for_the_moment() {
    // From where the publisher is: a kill takes seconds when the disk is in the middle of a slow sync, and by then the
    // publisher is far beyond the last moment.
    const auto next = rig_.publisher().acknowledged() + kReadingsAKill / 2 + up_to(kReadingsAKill / 2);
    ASSERT_TRUE(rig_.publisher().wait_for_acknowledged(std::min(next, kills_ * kReadingsAKill), seconds(60)));
    // What waits for the daemon is small. mosquitto 2.0.11 puts all that it has queued in flight, not 20, at the first
    // PUBACK after a reconnect (db__message_delete_outgoing counts from where that message stood), so each kill of a
    // daemon with a backlog has the whole of it sent once more.
    const auto keeps_up = [this](const DeliveryReport& report) {
      return report.distinct + kBehindMax >= rig_.publisher().acknowledged();
    };
    ASSERT_TRUE(rig_.checker().wait_for(keeps_up, seconds(60)));
    // Anywhere between two turns, frames, syncs and checkpoints.
    const auto moment = std::chrono::steady_clock::now() + std::chrono::microseconds(up_to(30'000));
    while (std::chrono::steady_clock::now() < moment) {
    }
  }

  // Sometimes killed before it is ready, in the middle of recovery or of the rules' catching up.
  void start_again() {
    if (up_to(4) == 0) {
      ProcessUnderTest early({{program_path(), "run", "--config", rig_.gateway().config_file()}, {}, "", ""});
      const auto moment = std::chrono::steady_clock::now() + std::chrono::microseconds(up_to(60'000));
      while (std::chrono::steady_clock::now() < moment) {
      }
      early.send_signal(9);
      ASSERT_TRUE(early.wait_for_end(seconds(20)));
      ++kills_while_starting_;
    }
    rig_.gateway().start();
  }

  void verify(std::uint64_t kill) {
    const auto verified = run_to_end({program_path(), "log", "verify", "--data-dir", rig_.gateway().data_directory()});
    EXPECT_EQ(verified.end.exit_code, 0) << "after kill " << kill << ": " << verified.output << verified.errors;
  }

  const std::uint64_t kills_;
  std::mt19937_64 random_;
  RelayRig rig_;
  std::uint64_t kills_while_starting_ = 0;
};

void soak(std::uint64_t kills, std::uint64_t seed, const Kind& kind) {
  SCOPED_TRACE("the same moments again, as far as a machine repeats itself: TIDEGATE_SEED=" + std::to_string(seed));
  KillSoak(kills, seed, kind).run();
}

TEST(Kill, LosesNothingOverFiftyKillsAtRandomMoments) {
  soak(50, from_environment("TIDEGATE_SEED", 1), {"size = \"1MiB\"\n", ""});
}

// scripts/test --target kill-soak; TIDEGATE_KILLS says how many. Over hours a disk that stands still for seconds is
// sure to happen, and what comes in afterwards at once may be more than 1 MiB: the larger ring has room for it, the
// smaller one holds the source back.
TEST(KillSoak, LosesNothingOverThousandsOfKills) {
  constexpr std::uint64_t kAtATime = 500;  // what a receiver remembers of readings is bounded by rounds
  const Kind kinds[] = {{"size = \"4MiB\"\n", "ack = \"written\"\n"},
                        {"size = \"1MiB\"\nwhen_full = \"block\"\n", "ack = \"durable\"\ninflight_max = 500\n"}};
  const std::uint64_t kills = from_environment("TIDEGATE_KILLS", 10'000);
  const std::uint64_t seed = from_environment("TIDEGATE_SEED", std::random_device{}());
  for (std::uint64_t done = 0; done < kills && !HasFailure(); done += kAtATime) {
    soak(std::min(kAtATime, kills - done), seed + done, kinds[done / kAtATime % std::size(kinds)]);
  }
}

}  // namespace
}  // namespace tidegate::testing
