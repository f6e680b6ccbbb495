#include "drivers/mqtt/shared_queue.h"

#include <gmock/gmock.h>

#include <random>
#include <thread>

#include "tests/drivers/queue_fixture.h"

namespace tidegate::drivers {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

class SharedQueueTest : public QueueFixture {};

TEST_F(SharedQueueTest, GivesBackWhatWasPushedInOrder) {
  open();
  for (const char* payload : {"a", "", "ccc"}) EXPECT_EQ(push(payload), SharedQueue::Push::stored);
  EXPECT_THAT(take_all(), ElementsAre("a", "", "ccc"));
  EXPECT_THAT(take_all(), IsEmpty());
}

TEST_F(SharedQueueTest, WhatWasNotReleasedIsThereForASuccessor) {
  open();
  push("a");
  push("b");
  EXPECT_THAT(take_all(), ElementsAre("a", "b"));
  open();
  EXPECT_THAT(take_all(), ElementsAre("a", "b"));
  queue_->release();
  push("c");
  open();
  EXPECT_THAT(take_all(), ElementsAre("c"));
}

TEST_F(SharedQueueTest, ASuccessorBeginsBehindTheMarkOfTheLog) {
  open();
  push("in the log");
  ASSERT_TRUE(queue_->next());
  const QueueMark logged = mark();
  push("not in the log");
  options_.marks = {{1, 99}, logged, {2, 5}};
  open();
  EXPECT_THAT(take_all(), ElementsAre("not in the log"));
}

TEST_F(SharedQueueTest, AnOldMarkTakesNothingBack) {
  open();
  push("a");
  ASSERT_TRUE(queue_->next());
  options_.marks = {mark()};
  push("b");
  take_all();
  queue_->release();
  open();
  EXPECT_THAT(take_all(), IsEmpty());
}

// Sizes of all remainders, many times round the ring.
TEST_F(SharedQueueTest, GoesRoundWithEntriesOfEverySize) {
  options_.capacity_bytes = QueueFile::kCapacityMin;
  open();
  std::size_t size = 0;
  for (int round = 0; round < 20'000; ++round) {
    size = (size * 7 + 13) % 4000;
    const std::string payload(size, static_cast<char>('a' + round % 26));
    ASSERT_EQ(push(payload), SharedQueue::Push::stored) << round;
    const auto entry = queue_->next();
    ASSERT_TRUE(entry) << round;
    ASSERT_EQ(entry->payload, payload) << round;
    queue_->release();
    if (round % 97 == 0) open();
  }
  EXPECT_EQ(queue_->damaged_bytes(), 0U);
}

TEST_F(SharedQueueTest, FillsUpToItsLastByte) {
  options_.capacity_bytes = QueueFile::kCapacityMin;
  open();
  const std::string payload(64 - QueueEntryCodec::kHeaderBytes - 1, 'x');  // 64 bytes an entry, with the topic "t"
  for (int i = 0; i < 256; ++i) ASSERT_EQ(push(payload), SharedQueue::Push::stored);
  EXPECT_EQ(queue_->used(), queue_->capacity());
  open();
  EXPECT_EQ(take_all().size(), 256U);
}

TEST_F(SharedQueueTest, AMessageOverAQuarterOfTheQueueIsRefused) {
  open();
  EXPECT_EQ(push(std::string(16 * 1024, 'x')), SharedQueue::Push::too_large);
  EXPECT_EQ(push(std::string(16 * 1024 - QueueEntryCodec::kHeaderBytes - 1, 'x')), SharedQueue::Push::stored);
  EXPECT_EQ(take_all().size(), 1U);
}

TEST_F(SharedQueueTest, WakesOnlyAConsumerThatFoundItEmpty) {
  open();
  push("a");
  push("b");
  EXPECT_EQ(wakes_, 1);
  ASSERT_TRUE(queue_->next());
  push("c");
  EXPECT_EQ(wakes_, 1);
  take_all();
  push("d");
  push("e");
  EXPECT_EQ(wakes_, 2);
}

TEST_F(SharedQueueTest, AFullQueueTakesNothingBeforeARelease) {
  options_.capacity_bytes = QueueFile::kCapacityMin;
  open();
  const std::string payload(1000, 'x');
  std::size_t stored = 0;
  while (push(payload) == SharedQueue::Push::stored) ASSERT_LT(++stored, 17U);
  EXPECT_GE(stored, 10U);
  EXPECT_EQ(push(payload), SharedQueue::Push::full);
  EXPECT_EQ(take_all().size(), stored);
  EXPECT_EQ(push(payload), SharedQueue::Push::full) << "what is taken is not released yet";
  queue_->release();
  EXPECT_EQ(push(payload), SharedQueue::Push::stored);
  EXPECT_EQ(take_all().size(), 1U);
}

// What survives is what lies before the damage, whatever byte is hit; what comes afterwards is stored and read.
TEST_F(SharedQueueTest, DamageAtEveryByteLosesThatEntryAndWhatIsBehindIt) {
  const std::size_t entry = QueueEntryCodec::bytes_of({"t", "payload-0", {}, {}, false, false});
  for (std::size_t at = 0; at < 3 * entry; ++at) {
    std::filesystem::remove(options_.path);
    open();
    for (const char* payload : {"payload-0", "payload-1", "payload-2"}) push(payload);
    queue_.reset();
    change_byte(QueueFile::kHeaderBytes + at);
    open();
    const bool hits_unused = at % entry >= QueueEntryCodec::kHeaderBytes + 10;
    const std::size_t good = hits_unused ? 3 : at / entry;
    ASSERT_EQ(remarks_.empty(), hits_unused) << at;
    if (!hits_unused) {
      ASSERT_THAT(remarks_.back().text, HasSubstr("damaged"));
    }
    ASSERT_EQ(push("fresh"), SharedQueue::Push::stored);
    const auto payloads = take_all();
    ASSERT_EQ(payloads.size(), good + 1) << at;
    for (std::size_t i = 0; i < good; ++i) ASSERT_EQ(payloads[i], "payload-" + std::to_string(i)) << at;
    ASSERT_EQ(payloads.back(), "fresh");
  }
}

TEST_F(SharedQueueTest, DamageWhileRunningIsCountedAndDoesNotStopTheQueue) {
  open();
  push("a");
  push("b");
  change_byte(QueueFile::kHeaderBytes + 33);
  EXPECT_THAT(take_all(), IsEmpty());
  EXPECT_GT(queue_->damaged_bytes(), 0U);
  const int wakes = wakes_;
  push("c");
  EXPECT_EQ(wakes_, wakes + 1);
  EXPECT_THAT(take_all(), ElementsAre("c"));
}

// A push that meets a consumer which is just about to fall asleep. Every message is such a meeting here: the producer
// goes on when the one before was taken, after a pause of a length that varies.
TEST_F(SharedQueueTest, NoWakeIsLostWhenTheQueueRunsEmpty) {
  constexpr std::uint64_t kMeetings = 30'000;
  std::mutex mutex;
  std::condition_variable changed;
  bool woken = false;
  std::atomic<std::uint64_t> taken{0};
  std::vector<QueueRemark> remarks;
  const auto wake = [&] {
    const std::lock_guard lock(mutex);
    woken = true;
    changed.notify_one();
  };
  const auto queue = std::move(SharedQueue::open(options_, wake, remarks).value());
  std::atomic<bool> over{false};
  std::thread producer([&] {
    for (std::uint64_t i = 0; i < kMeetings; ++i) {
      while (taken.load() < i && !over) {
      }
      for (std::atomic<std::uint64_t> pause{i % 61}; pause > 0; --pause) {
      }
      queue->push({"t", "x", {}, {}, false, false});
    }
  });
  bool lost = false;
  while (taken < kMeetings && !lost) {
    while (queue->next()) {
      queue->release();
      ++taken;
    }
    std::unique_lock lock(mutex);
    lost = taken < kMeetings && !changed.wait_for(lock, std::chrono::seconds(20), [&] { return woken; });
    woken = false;
  }
  over = true;
  producer.join();
  EXPECT_FALSE(lost) << "after " << taken << " messages";
}

TEST_F(SharedQueueTest, TwoThreadsAgreeOnEveryMessage) {
  options_.capacity_bytes = QueueFile::kCapacityMin;
  constexpr std::uint64_t kMessages = 200'000;
  std::mutex mutex;
  std::condition_variable changed;
  bool woken = false;
  std::vector<QueueRemark> remarks;
  auto queue = std::move(SharedQueue::open(
                             options_,
                             [&] {
                               const std::lock_guard lock(mutex);
                               woken = true;
                               changed.notify_one();
                             },
                             remarks)
                             .value());
  std::atomic<bool> over{false};
  std::thread producer([&] {
    std::minstd_rand sizes(1);
    for (std::uint64_t i = 0; i < kMessages && !over; ++i) {
      const std::string payload = std::to_string(i) + std::string(sizes() % 300, '.');
      while (queue->push({"t", payload, {}, {}, false, false}) == SharedQueue::Push::full && !over) {
        std::this_thread::yield();
      }
    }
  });
  std::uint64_t expected = 0;
  bool in_order = true;
  while (expected < kMessages && in_order) {
    while (const auto entry = queue->next()) {
      in_order = in_order && std::stoull(std::string(entry->payload)) == expected;
      if (++expected % 50 == 0) queue->release();
    }
    queue->release();
    std::unique_lock lock(mutex);
    if (expected < kMessages) {
      const bool was_woken = changed.wait_for(lock, std::chrono::seconds(30), [&] { return woken; });
      EXPECT_TRUE(was_woken) << "a wake was lost";
      if (!was_woken) break;
    }
    woken = false;
  }
  over = true;
  producer.join();
  EXPECT_TRUE(in_order);
  EXPECT_EQ(expected, kMessages);
  EXPECT_EQ(queue->damaged_bytes(), 0U);
}

}  // namespace
}  // namespace tidegate::drivers
