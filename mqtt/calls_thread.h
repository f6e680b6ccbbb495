#pragma once

#include <condition_variable>
#include <functional>
#include <map>
#include <mutex>
#include <thread>
#include <vector>

#include "core/clock.h"
#include "core/time.h"

namespace tidegate::mqtt {

/// The one thread that calls into Paho, for all clients of the process ("MQTT calls"): a call waits while any client's
/// callback runs, so neither the core nor a callback may make one. Tasks run in the order in which they were posted;
/// they do not throw. How much waits here is bounded by those who post: publishes by the window of the uplink.
/// Any thread may post. Lives until the process ends.
class CallsThread {
 public:
  using Task = std::function<void()>;

  static CallsThread& instance();

  void post(Task task);
  void post_after(Duration delay, Task task);

 private:
  CallsThread();
  void run();
  void wait_for_work(std::unique_lock<std::mutex>& lock);
  void take_due();

  SystemClock clock_;
  std::mutex mutex_;
  std::condition_variable posted_;
  std::vector<Task> tasks_;
  std::multimap<BootTime, Task> timers_;
  std::thread thread_;
};

}  // namespace tidegate::mqtt
