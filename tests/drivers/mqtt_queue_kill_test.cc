#include <gtest/gtest.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <deque>

#include "tests/drivers/queue_fixture.h"

namespace tidegate::drivers {
namespace {

/// A process that pushes numbered messages into a queue until it is killed. What it had acknowledged by then is in
/// memory that both processes see.
template <class Push>
class KilledProducer {
 public:
  explicit KilledProducer(const Push& push) {
    void* shared = ::mmap(nullptr, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    acknowledged_ = new (shared) std::atomic<std::uint64_t>(0);
    child_ = ::fork();
    if (child_ == 0) {
      for (std::uint64_t i = 0;; ++i) {
        push(std::to_string(i));
        acknowledged_->store(i + 1);
      }
    }
  }
  ~KilledProducer() { ::munmap(acknowledged_, 4096); }

  /// Kills it in the middle of its work; returns how many messages it had acknowledged.
  std::uint64_t kill_after(std::uint64_t messages) {
    while (acknowledged_->load() < messages) ::sched_yield();
    ::kill(child_, SIGKILL);
    ::waitpid(child_, nullptr, 0);
    return acknowledged_->load();
  }

 private:
  std::atomic<std::uint64_t>* acknowledged_;
  pid_t child_;
};

class QueueKillTest : public QueueFixture {
 protected:
  QueueKillTest() { options_.capacity_bytes = 64 * 1024 * 1024; }
};

TEST_F(QueueKillTest, EverythingAcknowledgedBeforeAKillIsThereForTheSuccessor) {
  for (int round = 0; round < 10; ++round) {
    open();
    take_all();
    queue_->release();
    auto keeper = std::move(queue_);
    KilledProducer producer([&](const std::string& payload) { keeper->push({"t", payload, {}, {}, false, false}); });
    const std::uint64_t acknowledged = producer.kill_after(1'000 + static_cast<std::uint64_t>(round) * 777);
    keeper.reset();
    open();
    const auto found = take_all();
    ASSERT_TRUE(remarks_.empty()) << remarks_[0].text;
    ASSERT_GE(found.size(), acknowledged);
    ASSERT_LE(found.size(), acknowledged + 1);  // one may be stored and not yet acknowledged
    for (std::size_t i = 0; i < found.size(); ++i) ASSERT_EQ(found[i], std::to_string(i));
  }
}

// The same with plain memory, to show that the test above can fail.
TEST_F(QueueKillTest, AQueueInPlainMemoryLosesWhatItHadAcknowledged) {
  std::deque<std::string> plain;
  KilledProducer producer([&](const std::string& payload) { plain.push_back(payload); });
  const std::uint64_t acknowledged = producer.kill_after(1'000);
  EXPECT_GE(acknowledged, 1'000U);
  EXPECT_LT(plain.size(), acknowledged);
}

}  // namespace
}  // namespace tidegate::drivers
