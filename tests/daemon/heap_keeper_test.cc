#include "daemon/heap_keeper.h"

#include <gtest/gtest.h>
#include <malloc.h>
#include <unistd.h>

#include <cstddef>
#include <fstream>
#include <functional>
#include <memory>
#include <thread>
#include <vector>

#include "tests/support/sanitized.h"

namespace tidegate::daemon {
namespace {

using namespace std::chrono_literals;

constexpr std::size_t kBlocks = 500;
constexpr std::size_t kBlockBytes = 64UL * 1024;  // the allocator maps what is twice as large by itself
constexpr std::size_t kMost = kBlocks * kBlockBytes / 4;

std::size_t resident_bytes() {
  std::size_t size = 0;
  std::size_t resident = 0;
  std::ifstream("/proc/self/statm") >> size >> resident;
  return resident * static_cast<std::size_t>(::sysconf(_SC_PAGESIZE));
}

/// What was in use once, and is free but for a small block behind each.
class Holes {
 public:
  Holes() {
    std::vector<std::unique_ptr<std::vector<char>>> freed;
    for (std::size_t i = 0; i < kBlocks; ++i) {
      freed.push_back(std::make_unique<std::vector<char>>(kBlockBytes, 'x'));
      kept_.push_back(std::make_unique<std::vector<char>>(100, 'x'));
    }
  }

 private:
  std::vector<std::unique_ptr<std::vector<char>>> kept_;
};

void run_until(EventLoop& loop, const std::function<bool()>& is_reached) {
  const auto give_up = loop.make_timer();
  const auto look = loop.make_timer();
  const std::function<void()> look_again = [&] {
    if (is_reached()) return loop.stop();
    look->arm(10ms, look_again);
  };
  give_up->arm(10s, [&] { loop.stop(); });
  look_again();
  loop.run();
}

void expect_holes_given_back(const std::function<void(std::unique_ptr<Holes>&)>& make) {
  if (tidegate::testing::kSanitized) return;  // which has an allocator of its own
  EventLoop loop;
  ::malloc_trim(0);  // what other tests have left
  const std::size_t before = resident_bytes();
  std::unique_ptr<Holes> holes;
  make(holes);
  ASSERT_GT(resident_bytes(), before + 2 * kMost) << "the allocator keeps no holes";
  const HeapKeeper keeper(loop, 20ms);
  run_until(loop, [&] { return resident_bytes() < before + kMost; });
  EXPECT_LT(resident_bytes(), before + kMost);
}

TEST(HeapKeeper, GivesBackWhatIsFreeBetweenBlocksInUse) {
  expect_holes_given_back([](auto& holes) { holes = std::make_unique<Holes>(); });
}

TEST(HeapKeeper, GivesBackWhatAnotherThreadHasLeft) {
  expect_holes_given_back([](auto& holes) { std::thread([&] { holes = std::make_unique<Holes>(); }).join(); });
}

TEST(HeapKeeper, GoesOnDoingSo) {
  if (tidegate::testing::kSanitized) return;  // which has an allocator of its own
  EventLoop loop;
  const std::size_t before = resident_bytes();
  const HeapKeeper keeper(loop, 20ms);
  for (int round = 0; round < 3; ++round) {
    const Holes holes;
    run_until(loop, [&] { return resident_bytes() < before + kMost; });
    EXPECT_LT(resident_bytes(), before + kMost) << round;
  }
}

}  // namespace
}  // namespace tidegate::daemon
