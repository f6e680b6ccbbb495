#pragma once

#include <condition_variable>
#include <cstdint>
#include <functional>
#include <mutex>
#include <utility>
#include <vector>

namespace tidegate {

/// The one way from thread to thread inside the process: many producers, one consumer, a fixed capacity, counters.
/// `on_first` is called by the producer that made the queue non-empty, outside the lock; it wakes the consumer.
template <class T>
class BoundedQueue {
 public:
  struct Counters {
    std::uint64_t pushed = 0;
    std::uint64_t refused = 0;  // pushes that found the queue full
    std::size_t depth_max = 0;
  };

  explicit BoundedQueue(std::size_t capacity, std::function<void()> on_first = {})
      : capacity_(capacity), on_first_(std::move(on_first)) {}

  /// False, and `item` untouched, when the queue is full or closed.
  bool try_push(T&& item) {
    {
      const std::lock_guard lock(mutex_);
      if (closed_ || items_.size() >= capacity_) {
        ++counters_.refused;
        return false;
      }
      store(std::move(item));
      if (items_.size() > 1) return true;
    }
    announce();
    return true;
  }

  /// Waits for room. False, and `item` untouched, when the queue is closed.
  bool push(T&& item) {
    {
      std::unique_lock lock(mutex_);
      room_.wait(lock, [this] { return closed_ || items_.size() < capacity_; });
      if (closed_) return false;
      store(std::move(item));
      if (items_.size() > 1) return true;
    }
    announce();
    return true;
  }

  /// Moves everything queued into `into` (cleared first) without waiting.
  void take_all(std::vector<T>& into) {
    into.clear();
    {
      const std::lock_guard lock(mutex_);
      items_.swap(into);
    }
    if (!into.empty()) room_.notify_all();
  }

  /// Waits until something is queued or the queue is closed, then takes all. Empty only when closed.
  void wait_all(std::vector<T>& into) {
    into.clear();
    {
      std::unique_lock lock(mutex_);
      filled_.wait(lock, [this] { return closed_ || !items_.empty(); });
      items_.swap(into);
    }
    if (!into.empty()) room_.notify_all();
  }

  /// Ends the queue: pushes fail, waits return; what is queued can still be taken.
  void close() {
    {
      const std::lock_guard lock(mutex_);
      closed_ = true;
    }
    room_.notify_all();
    filled_.notify_all();
  }

  Counters counters() const {
    const std::lock_guard lock(mutex_);
    return counters_;
  }

 private:
  void store(T&& item) {
    items_.push_back(std::move(item));
    ++counters_.pushed;
    if (items_.size() > counters_.depth_max) counters_.depth_max = items_.size();
  }
  void announce() {
    filled_.notify_one();
    if (on_first_) on_first_();
  }

  const std::size_t capacity_;
  const std::function<void()> on_first_;
  mutable std::mutex mutex_;
  std::condition_variable room_;
  std::condition_variable filled_;
  std::vector<T> items_;
  Counters counters_;
  bool closed_ = false;
};

}  // namespace tidegate
