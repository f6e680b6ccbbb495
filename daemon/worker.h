#pragma once

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

 private:
  static constexpr std::size_t kJobsMax = 4096;
  BoundedQueue<std::function<void()>> jobs_{kJobsMax};
  std::thread thread_;
};

}  // namespace tidegate::daemon
