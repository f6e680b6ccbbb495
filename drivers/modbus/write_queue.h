#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <mutex>
#include <optional>
#include <vector>

#include "core/time.h"

namespace tidegate::drivers {

/// A write that is not sent by then never is: whoever wanted it has long gone on.
inline constexpr Duration kWriteWaitMost = std::chrono::seconds(5);

/// A value on its way to a device, as it goes into the registers or the coil.
struct BusWrite {
  std::uint64_t id = 0;
  std::uint32_t tag = 0;  // its place among those of the bus
  std::vector<std::uint16_t> words;
  BootTime until{};  // later it is not sent any more
};

/// Writes that wait for their bus. Any thread.
class WriteQueue {
 public:
  static constexpr std::size_t kMost = 64;

  /// False when it is full, or closed.
  bool push(BusWrite write);
  std::optional<BusWrite> take();
  bool empty() const;
  /// Takes nothing more; what waits is given back.
  std::deque<BusWrite> close();

 private:
  mutable std::mutex mutex_;
  std::deque<BusWrite> writes_;
  bool closed_ = false;
};

}  // namespace tidegate::drivers
