// How batches are shared out where every lane always has more.
#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <map>
#include <random>

#include "tests/support/seed.h"
#include "tests/uplink/forwarder_fixture.h"
#include "tests/uplink/share_oracle.h"
#include "uplink/stream_chain.h"
#include "uplink/turn.h"

namespace tidegate::uplink::testing {
namespace {

std::string turns(std::uint64_t own, std::uint64_t others, int count) {
  Turn turn(own, others);
  std::string text;
  for (int i = 0; i < count; ++i) {
    text += turn.is_due() ? 'o' : '.';
    turn.is_due() ? turn.take() : turn.pass_over();
  }
  return text;
}

TEST(TurnTest, ComesAsOftenAsTheWeightsSay) {
  EXPECT_EQ(turns(1, 3, 12), "...o...o...o");
  EXPECT_EQ(turns(4, 28, 16), ".......o.......o");
  EXPECT_EQ(turns(3, 1, 8), ".ooo.ooo");
  EXPECT_EQ(turns(2, 3, 10), "..o.o..o.o");
  EXPECT_EQ(turns(1, 1, 4), ".o.o");
}

TEST(TurnTest, IsNotSavedUp) {
  Turn turn(1, 3);
  for (int i = 0; i < 100; ++i) turn.pass_over();
  turn.take();
  EXPECT_FALSE(turn.is_due());
}

/// Each lane always has something to send, and the target takes what it is sent, after a while.
class ForwarderWeightsTest : public ForwarderFixture {
 protected:
  static constexpr std::uint64_t kEndless = 1'000'000;

  void begin(const LaneWeights& weights, std::uint32_t inflight, bool live_first, std::vector<Stream> streams) {
    options_.weights = weights;
    options_.inflight_max = inflight;
    options_.live_first = live_first;
    options_.streams = std::move(streams);
    const Position live{1, live_first ? kEndless : 0};
    const Position begin{1, 0};
    forwarder_ = std::make_unique<Forwarder>(options_, "plant-7", tags_, clock_history_, 1);
    for (const Stream stream : kAllStreams) forwarder_->restore(stream, Cursor{begin, begin}, Accounting{});
    LanePlaces places{{live, live}};
    if (live_first) places.stretches.push_back({{begin, begin}, live});
    Accounting accounting;
    accounting.first = 0;
    forwarder_->restore(Stream::readings, places, accounting, false);
    for (const Stream stream : kAllStreams) forwarder_->announce(stream, {1, 2 * kEndless});
    on_their_way_.clear();
    link_up();
  }
  void read_all() {
    while (const auto demand = forwarder_->demand()) {
      const std::uint64_t from = demand->from.sequence;
      ASSERT_LT(from, 2 * kEndless);
      if (demand->stream == Stream::readings) {
        forwarder_->supply(readings(1, from, from + 9), now_, demand->lane);
      } else {
        forwarder_->supply(documents(demand->stream, from, std::vector<std::string>(10, "{}")), now_);
      }
    }
  }
  /// Who has a claim: a lane that has nothing on its way, whatever the others have there, and all that are ready.
  void note_who_may() {
    may_.clear();
    for (const Stream stream : options_.streams) {
      for (const Lane lane : kAllLanes) {
        const LaneOf of(stream, lane);
        const bool has_some = std::any_of(on_their_way_.begin(), on_their_way_.end(), [&](const OutgoingBatch& batch) {
          return StreamChain::lane_of(batch.id) == of;
        });
        const bool is_there = lane == Lane::live || (stream == Stream::readings && options_.live_first);
        if (is_there && (!has_some || forwarder_->is_ready(of, now_))) may_.push_back(of);
      }
    }
  }
  /// "a" for alarms, "e" for events, "l" for live, "b" for the backlog; empty: nothing goes now.
  std::string send_one() {
    read_all();
    note_who_may();
    const auto batch = send();
    if (!batch) return "";
    on_their_way_.push_back(*batch);
    const LaneOf of = StreamChain::lane_of(batch->id);
    if (of.stream != Stream::readings) return of.stream == Stream::alarms ? "a" : "e";
    return of.lane == Lane::live ? "l" : "b";
  }
  /// One at a time.
  std::string course(const LaneWeights& weights, bool live_first, int count,
                     std::vector<Stream> streams = {Stream::alarms, Stream::readings}) {
    begin(weights, 1, live_first, std::move(streams));
    std::string sent;
    for (int i = 0; i < count; ++i) {
      sent += send_one();
      acknowledge(on_their_way_.back());
    }
    return sent;
  }

  /// What happens to forwarders of random weights, by a seed: everything is answered, some time, in any order.
  std::string run(std::uint64_t seed);

  std::vector<OutgoingBatch> on_their_way_;
  std::vector<LaneOf> may_;
};

TEST_F(ForwarderWeightsTest, ThoseOfOldLeaveTheBacklogOneBatchInFourOfOneInEight) {
  EXPECT_EQ(course({}, true, 40), "aaaaaaalaaaaaaalaaaaaaalaaaaaaabaaaaaaal");
}

TEST_F(ForwarderWeightsTest, AreThePartsOfEachLane) {
  EXPECT_EQ(course({1, 1, 1}, true, 12), "albalbalbalb") << "alarms go first, and the backlog last";
  EXPECT_EQ(course({2, 3, 1}, true, 12), "allalballalb");
  EXPECT_EQ(course({1, 1, 3}, true, 15), "albbbalbbbalbbb");
}

TEST_F(ForwarderWeightsTest, OfReadingsAddUpWhereTheseAreOneLane) {
  EXPECT_EQ(course({1, 2, 1}, false, 8), "alllalll");
  EXPECT_EQ(course({3, 1, 2}, false, 8), "alalalal");
}

TEST_F(ForwarderWeightsTest, OfAlarmsLeaveEventsOneInEight) {
  EXPECT_EQ(course({1, 3, 1}, false, 16, {Stream::alarms, Stream::events}), "aaaaaaaeaaaaaaae");
}

std::string ForwarderWeightsTest::run(std::uint64_t seed) {
  std::mt19937_64 random(seed);
  const auto below = [&](std::size_t bound) { return static_cast<std::uint32_t>(random() % bound); };
  const auto any_weight = [&] { return 1 + below(below(2) == 0 ? 4 : 1000); };
  const LaneWeights weights{any_weight(), any_weight(), any_weight()};
  const bool live_first = below(3) != 0;
  const std::uint32_t inflight = below(2) == 0 ? 1 : 2 + below(8);
  begin(weights, inflight, live_first, {Stream::readings, Stream::alarms, Stream::events});
  ShareOracle shares(weights);
  std::map<std::string, std::uint32_t> count;
  for (int i = 0; i < 3'000; ++i) {
    const std::string sent = send_one();
    if (sent.empty()) {
      const auto at = on_their_way_.begin() + static_cast<std::ptrdiff_t>(below(on_their_way_.size()));
      acknowledge(*at);
      on_their_way_.erase(at);
      pass(std::chrono::milliseconds(below(10)));
      continue;
    }
    ++count[sent];
    const auto has = [&](LaneOf of) { return std::find(may_.begin(), may_.end(), of) != may_.end(); };
    const std::string problem = shares.note_sent(StreamChain::lane_of(on_their_way_.back().id), has);
    if (!problem.empty()) return problem + ", batch " + std::to_string(i);
  }
  if (!live_first) return "";
  const double readings = count["l"] + count["b"];
  const double part = static_cast<double>(weights.backlog) / (weights.live + weights.backlog);
  const double least = inflight == 1 ? 0 : 1.0 / inflight;  // one of those on their way
  const bool is_short = count["l"] < readings * std::min(1 - part, least) / 2 - 2 ||
                        count["b"] < readings * std::min(part, least) / 2 - 2;
  return is_short
             ? "a lane of readings starves, with " + std::to_string(count["l"]) + " and " + std::to_string(count["b"])
             : "";
}

// TIDEGATE_SEEDS: how many; TIDEGATE_SEED: only this one.
TEST_F(ForwarderWeightsTest, WhateverTheyAreNoLaneStarves) {
  const std::uint64_t first = tidegate::testing::from_environment("TIDEGATE_SEED", 1);
  const std::uint64_t count =
      std::getenv("TIDEGATE_SEED") != nullptr ? 1 : tidegate::testing::from_environment("TIDEGATE_SEEDS", 200);
  std::printf("%llu seeds from %llu\n", static_cast<unsigned long long>(count), static_cast<unsigned long long>(first));
  for (std::uint64_t seed = first; seed < first + count; ++seed) {
    ASSERT_EQ(run(seed), "") << "again with TIDEGATE_SEED=" << seed << "; weights " << options_.weights.alarms << ", "
                             << options_.weights.live << ", " << options_.weights.backlog << ", "
                             << options_.inflight_max << " in flight";
  }
}

}  // namespace
}  // namespace tidegate::uplink::testing
