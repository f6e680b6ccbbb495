#include "mqtt/calls_thread.h"

#include <pthread.h>

#include <algorithm>
#include <utility>

namespace tidegate::mqtt {

CallsThread& CallsThread::instance() {
  // Never destroyed: a client may post from a destructor that runs as late as it likes.
  static CallsThread* const kInstance = new CallsThread;
  return *kInstance;
}

CallsThread::CallsThread() : thread_([this] { run(); }) {}

void CallsThread::post(Task task) {
  {
    const std::lock_guard lock(mutex_);
    tasks_.push_back(std::move(task));
  }
  posted_.notify_one();
}

void CallsThread::post_after(Duration delay, Task task) {
  {
    const std::lock_guard lock(mutex_);
    timers_.emplace(clock_.boot_now() + delay, std::move(task));
  }
  posted_.notify_one();
}

void CallsThread::run() {
  ::pthread_setname_np(::pthread_self(), "mqtt-calls");
  std::vector<Task> running;
  for (;;) {
    {
      std::unique_lock lock(mutex_);
      wait_for_work(lock);
      running.swap(tasks_);
    }
    for (Task& task : running) {
      task();
      task = nullptr;  // what it holds goes now, not when the others are done
    }
    running.clear();
  }
}

void CallsThread::wait_for_work(std::unique_lock<std::mutex>& lock) {
  for (take_due(); tasks_.empty(); take_due()) {
    if (timers_.empty()) {
      posted_.wait(lock);
    } else {
      posted_.wait_for(lock, std::max(timers_.begin()->first - clock_.boot_now(), Duration::zero()));
    }
  }
}

void CallsThread::take_due() {
  const BootTime now = clock_.boot_now();
  while (!timers_.empty() && timers_.begin()->first <= now) {
    tasks_.push_back(std::move(timers_.begin()->second));
    timers_.erase(timers_.begin());
  }
}

}  // namespace tidegate::mqtt
