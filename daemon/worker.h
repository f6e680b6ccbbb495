#pragma once

#include <atomic>
#include <functional>
#include <string>
#include <thread>

#include "core/bounded_queue.h"

namespace tidegate::daemon {

/// A named thread that does jobs in order ("log-sync", "storage"). The destructor does what is queued, then ends it.
class Worker {
 public:
  explicit Worker(const std::string& name);
  ~Worker();
  Worker(const Worker&) = delete;
  Worker& operator=(const Worker&) = delete;

  /// Queues a job; it must not throw. Each user has at most a few jobs under way, so the queue never fills.
  void post(std::function<void()> job);
  /// Whether the thread sleeps in the kernel until its disk answers (state D).
  bool waits_for_disk() const;

 private:
  static constexpr std::size_t kJobsMax = 4096;
  BoundedQueue<std::function<void()>> jobs_{kJobsMax};
  std::atomic<int> thread_id_{0};
  std::thread thread_;
};

}  // namespace tidegate::daemon
