#pragma once

#include <chrono>
#include <memory>

#include "daemon/event_loop.h"

namespace tidegate::daemon {

/// Gives the kernel back what of the heap is free, again and again while the loop runs. The allocator does so by itself
/// only at the end of each arena: one block that is in use there keeps all the pages before it, which batches of
/// several uplinks, freed at different times, leave behind. Nothing that is in use is touched, and what is given back
/// costs a page fault when it is used again. On the loop's thread, which it holds up for less than a millisecond.
class HeapKeeper {
 public:
  explicit HeapKeeper(EventLoop& loop, Duration every = kEvery);

  /// Before there is a second thread: how the allocator divides the heap from here on.
  static void bound_allocator();

 private:
  static constexpr Duration kEvery = std::chrono::seconds(10);

  void arm();

  const Duration every_;
  const std::unique_ptr<Timer> timer_;
};

}  // namespace tidegate::daemon
