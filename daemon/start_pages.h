#pragma once

#include <chrono>
#include <memory>

#include "daemon/event_loop.h"

namespace tidegate::daemon {

/// Gives back the pages of program and libraries that only the start has used: relocations and symbols, reading the
/// configuration, opening the log. Once when it is made, and once more a while later, when connections are made and
/// first batches have left. What is used again comes back from the page cache. Only segments that nobody may write are
/// let go of, so that nothing but what the files have is lost. The loop outlives it.
class StartPages {
 public:
  explicit StartPages(EventLoop& loop, Duration settled_after = kSettledAfter);

 private:
  static constexpr Duration kSettledAfter = std::chrono::seconds(45);

  const std::unique_ptr<Timer> settled_;
};

}  // namespace tidegate::daemon
