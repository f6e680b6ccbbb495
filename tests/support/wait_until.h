#pragma once

#include <poll.h>

#include <chrono>

namespace tidegate::testing {

/// Looks every few milliseconds whether `reached()` holds; false when it does not within `patience`. For states of
/// other processes; inside one process wait on a condition variable instead.
template <class Predicate>
bool wait_until(Predicate reached, std::chrono::milliseconds patience) {
  constexpr int kPauseMilliseconds = 5;
  const auto deadline = std::chrono::steady_clock::now() + patience;
  while (!reached()) {
    if (std::chrono::steady_clock::now() > deadline) return false;
    ::poll(nullptr, 0, kPauseMilliseconds);
  }
  return true;
}

}  // namespace tidegate::testing
