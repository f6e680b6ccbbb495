#include "uplink/batch_order.h"

#include <gtest/gtest.h>

namespace tidegate::uplink::testing {
namespace {

BatchPlace batch(std::uint64_t from, std::uint64_t round = 1, Lane lane = Lane::live) {
  OutgoingBatch batch;
  batch.epoch = 3;
  batch.from = from;
  batch.round = round;
  BatchPlace place(batch);
  place.of.lane = lane;
  return place;
}

TEST(BatchOrderTest, TakesNothingBehindWhatFailedUntilThatComesAgain) {
  BatchOrder order;
  EXPECT_FALSE(order.comes_too_early(batch(10)));
  order.on_failed(batch(10));
  EXPECT_TRUE(order.comes_too_early(batch(20)));
  EXPECT_FALSE(order.comes_too_early(batch(10)));
  order.on_taken(batch(10));
  EXPECT_FALSE(order.comes_too_early(batch(20)));
}

TEST(BatchOrderTest, WaitsForTheOldestThatFailed) {
  BatchOrder order;
  order.on_failed(batch(20));
  order.on_failed(batch(10));
  order.on_failed(batch(30));
  EXPECT_TRUE(order.comes_too_early(batch(20)));
  EXPECT_FALSE(order.comes_too_early(batch(10)));
}

TEST(BatchOrderTest, HasAnOrderForEachLane) {
  BatchOrder order;
  order.on_failed(batch(100));
  EXPECT_FALSE(order.comes_too_early(batch(10, 1, Lane::backlog)));
  order.on_taken(batch(10, 1, Lane::backlog));
  EXPECT_TRUE(order.comes_too_early(batch(110))) << "what the backlog does says nothing of what is current";
  order.on_failed(batch(20, 1, Lane::backlog));
  order.on_taken(batch(100));
  EXPECT_FALSE(order.comes_too_early(batch(110)));
  EXPECT_TRUE(order.comes_too_early(batch(30, 1, Lane::backlog)));
}

TEST(BatchOrderTest, WaitsForNothingOfAnEarlierRound) {
  BatchOrder order;
  order.on_failed(batch(10));
  EXPECT_FALSE(order.comes_too_early(batch(500, 2)));
  order.on_taken(batch(500, 2));
  order.on_failed(batch(20));  // which was on its way
  EXPECT_FALSE(order.comes_too_early(batch(510, 2)));
  order.on_failed(batch(510, 2));
  order.on_taken(batch(30));
  EXPECT_TRUE(order.comes_too_early(batch(520, 2)));
}

TEST(BatchOrderTest, RemembersWhatFailedBeforeItWasEverAskedFor) {
  BatchOrder order;
  order.on_failed(batch(10));
  order.on_failed(batch(500, 2));
  EXPECT_TRUE(order.comes_too_early(batch(510, 2)));
}

TEST(BatchOrderTest, LetsWhatIsOutsideOfTheChainsPass) {
  BatchOrder order;
  order.on_failed(batch(10));
  BatchPlace beside = batch(20);
  beside.is_beside = true;
  EXPECT_FALSE(order.comes_too_early(beside));
  order.on_taken(beside);
  EXPECT_TRUE(order.is_waiting(Stream::readings));
}

}  // namespace
}  // namespace tidegate::uplink::testing
