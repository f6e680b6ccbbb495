#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>

#include "buffer/log_contents.h"
#include "buffer/space_reserve.h"
#include "core/clock.h"
#include "daemon/event_loop.h"
#include "daemon/worker.h"

namespace tidegate::daemon {

/// Keeps in reserve what the rings have not grown to yet, and a little for the state database, so that a disk that
/// others fill stops neither. Core thread; the file is worked on by the storage thread.
class SpaceKeeper {
 public:
  struct Parts {
    const buffer::LogContents* log = nullptr;
    buffer::SpaceReserve* reserve = nullptr;
    Worker* storage = nullptr;
    EventLoop* loop = nullptr;
    const Clock* clock = nullptr;
    std::array<std::uint64_t, kStreamCount> size_max_bytes{};
  };
  explicit SpaceKeeper(Parts parts) : parts_(parts) {}

  /// Looks once whether the reserve has to change; to be called about every second.
  void look();

  static constexpr std::uint64_t kForState = 256 * 1024;  // for one save of the state database

 private:
  std::uint64_t wanted() const;
  void take(std::uint64_t wanted, const Result<std::uint64_t>& held);

  Parts parts_;
  bool busy_ = false;
  std::optional<std::uint64_t> asked_;
  BootTime again_at_{};
  std::string said_;
};

}  // namespace tidegate::daemon
