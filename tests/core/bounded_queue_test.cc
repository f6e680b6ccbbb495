#include "core/bounded_queue.h"

#include <gtest/gtest.h>

#include <memory>
#include <thread>

namespace tidegate {
namespace {

TEST(BoundedQueue, RefusesWhatDoesNotFitAndLeavesItUntouched) {
  BoundedQueue<std::unique_ptr<int>> queue(1);
  EXPECT_TRUE(queue.try_push(std::make_unique<int>(1)));
  auto second = std::make_unique<int>(2);
  EXPECT_FALSE(queue.try_push(std::move(second)));
  EXPECT_NE(second, nullptr);  // NOLINT(bugprone-use-after-move): that is the promise
  EXPECT_EQ(queue.counters().refused, 1U);
}

TEST(BoundedQueue, WakesTheConsumerOnceForABunch) {
  int wakes = 0;
  BoundedQueue<int> queue(10, [&] { ++wakes; });
  for (int i = 0; i < 5; ++i) queue.try_push(int{i});
  EXPECT_EQ(wakes, 1);
  std::vector<int> taken;
  queue.take_all(taken);
  EXPECT_EQ(taken, (std::vector<int>{0, 1, 2, 3, 4}));
  queue.try_push(5);
  EXPECT_EQ(wakes, 2);
}

TEST(BoundedQueue, KeepsOrderAndLosesNothingBetweenThreads) {
  BoundedQueue<int> queue(16);
  constexpr int kCount = 20'000;
  std::thread producer([&] {
    for (int i = 0; i < kCount; ++i) ASSERT_TRUE(queue.push(int{i}));
    queue.close();
  });
  std::vector<int> taken;
  int expected = 0;
  while (true) {
    queue.wait_all(taken);
    if (taken.empty()) break;
    for (const int item : taken) ASSERT_EQ(item, expected++);
  }
  producer.join();
  EXPECT_EQ(expected, kCount);
}

TEST(BoundedQueue, LetsAWaitingProducerGoWhenItCloses) {
  BoundedQueue<int> queue(1);
  queue.try_push(1);
  std::thread producer([&] { EXPECT_FALSE(queue.push(2)); });
  queue.close();
  producer.join();
}

}  // namespace
}  // namespace tidegate
