#include <gtest/gtest.h>

#include <algorithm>
#include <cstdio>
#include <random>

#include "tests/integration/relay_rig.h"
#include "tests/support/network.h"
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
      : kills_(kills), count_(kills * kReadingsAKill * 3 / 2), random_(seed), rig_({count_, kRate}) {
    rig_.gateway().configure("[buffer]\nevents_size = \"1MiB\"\n" + kind.buffer +
                             relay_config(rig_.source().port(), rig_.target().port(), kind.driver));
  }

  /// How many kills there were: fewer than asked for where the disk stood still so long that all readings came
  /// meanwhile.
  std::uint64_t run() {
    rig_.start_gateway();
    rig_.publisher().start();
    while (done_ < kills_ && rig_.publisher().acknowledged() + kReadingsAKill < count_ &&
           !::testing::Test::HasFailure()) {
      wait_for_the_moment();
      rig_.gateway().kill();
      if (++done_ % kVerifyEvery == 0) verify();
      start_again();
    }
    EXPECT_TRUE(rig_.publisher().wait_for_all(seconds(300)));
    rig_.expect_all_arrived(seconds(120), static_cast<unsigned>(done_ + done_while_starting_));
    EXPECT_GT(rig_.checker().report().epochs, done_);
    std::printf("%llu kills, %llu more while it started, %llu times verified\n", static_cast<unsigned long long>(done_),
                static_cast<unsigned long long>(done_while_starting_),
                static_cast<unsigned long long>(done_ / kVerifyEvery));
    rig_.gateway().stop();
    return done_;
  }

 private:
  static constexpr std::uint64_t kReadingsAKill = 1'500;  // at the most, from one to the next
  static constexpr double kRate = 4'000;
  static constexpr std::uint64_t kVerifyEvery = 5;
  static constexpr std::uint64_t kBehindMax = 2'000;
  static constexpr std::uint64_t kUnreadMax = 2'000;  // bytes; a PUBACK has four

  std::uint64_t up_to(std::uint64_t most) { return std::uniform_int_distribution<std::uint64_t>(0, most)(random_); }

  void wait_for_the_moment() {
    // From where the publisher is: a kill takes seconds when the disk is in the middle of a slow sync, and by then the
    // publisher is far beyond the last moment.
    const auto next = rig_.publisher().acknowledged() + kReadingsAKill / 2 + up_to(kReadingsAKill / 2);
    ASSERT_TRUE(rig_.publisher().wait_for_acknowledged(next, seconds(60)));
    // mosquitto 2.0.11 puts all that it has queued in flight, not 20, at the first PUBACK after a reconnect
    // (db__message_delete_outgoing counts from where that message stood), and what it has not read of the PUBACKs goes
    // with the connection: each kill of a daemon with a backlog has it all sent once more, longer each time.
    const auto keeps_up = [this](const DeliveryReport& report) {
      return report.distinct + kBehindMax >= rig_.publisher().acknowledged();
    };
    ASSERT_TRUE(rig_.checker().wait_for(keeps_up, seconds(60)));
    ASSERT_TRUE(wait_until([&] { return unread_bytes(rig_.source().port()) <= kUnreadMax; }, seconds(60)));
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
      ++done_while_starting_;
    }
    rig_.gateway().start();
  }

  void verify() {
    const auto verified = run_to_end({program_path(), "log", "verify", "--data-dir", rig_.gateway().data_directory()});
    EXPECT_EQ(verified.end.exit_code, 0) << "after kill " << done_ << ": " << verified.output << verified.errors;
  }

  const std::uint64_t kills_;
  const std::uint64_t count_;  // of readings
  std::mt19937_64 random_;
  RelayRig rig_;
  std::uint64_t done_ = 0;
  std::uint64_t done_while_starting_ = 0;
};

std::uint64_t soak(std::uint64_t kills, std::uint64_t seed, const Kind& kind) {
  SCOPED_TRACE("the same moments again, as far as a machine repeats itself: TIDEGATE_SEED=" + std::to_string(seed));
  return KillSoak(kills, seed, kind).run();
}

TEST(Kill, LosesNothingOverFiftyKillsAtRandomMoments) {
  EXPECT_EQ(soak(50, from_environment("TIDEGATE_SEED", 1), {"size = \"1MiB\"\n", ""}), 50U);
}

// scripts/test --target kill-soak; TIDEGATE_KILLS says how many. Over hours a disk that stands still for seconds is
// sure to happen, and what comes in afterwards at once may be more than 1 MiB: the larger ring has room for it, the
// smaller one holds the source back.
TEST(KillSoak, LosesNothingOverThousandsOfKills) {
  constexpr std::uint64_t kAtATime = 500;  // what a receiver remembers of readings is bounded by rounds
  const Kind kinds[] = {
      {"size = \"4MiB\"\n", "ack = \"written\"\n"},
      {"size = \"1MiB\"\nwhen_full = \"block\"\nsync = \"always\"\n", "ack = \"durable\"\ninflight_max = 500\n"}};
  const std::uint64_t kills = from_environment("TIDEGATE_KILLS", 10'000);
  const std::uint64_t seed = from_environment("TIDEGATE_SEED", std::random_device{}());
  std::uint64_t done = 0;
  for (std::uint64_t round = 0; done < kills && !HasFailure(); ++round) {
    done += soak(std::min(kAtATime, kills - done), seed + round, kinds[round % std::size(kinds)]);
    std::printf("%llu kills in all\n", static_cast<unsigned long long>(done));
    std::fflush(stdout);
  }
}

}  // namespace
}  // namespace tidegate::testing
