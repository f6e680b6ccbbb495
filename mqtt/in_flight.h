#pragma once

#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <mutex>
#include <optional>
#include <vector>

#include "core/time.h"

namespace tidegate::mqtt {

/// The publishes whose outcome is open. Gives each a number, and hands
/// every ticket out exactly once: to its acknowledgement, to its failure, or to the end of the connection.
/// Any thread.
class InFlight {
 public:
  using Number = std::uint32_t;  // goes round

  struct Oldest {
    Number number = 0;
    std::size_t bytes = 0;
    bool operator==(const Oldest&) const = default;
  };

  /// `bytes`: how large it is.
  Number add(std::uint64_t ticket, std::size_t bytes);
  /// The ticket behind the number, unless it was handed out before.
  std::optional<std::uint64_t> take(Number number);
  /// What was added first of those not handed out.
  std::optional<Oldest> oldest();
  /// Every ticket left, oldest first.
  std::vector<std::uint64_t> take_all();
  /// False when something is still open after `patience`.
  bool wait_until_empty(Duration patience);

 private:
  struct Open {
    std::optional<std::uint64_t> ticket;
    std::size_t bytes = 0;
  };

  void drop_taken();

  std::mutex mutex_;
  std::condition_variable emptied_;
  std::deque<Open> open_;  // front has number first_; taken ones have no ticket
  Number first_ = 0;
};

}  // namespace tidegate::mqtt
