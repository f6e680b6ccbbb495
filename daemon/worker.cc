#include "daemon/worker.h"

#include <pthread.h>

#include <csignal>
#include <utility>
#include <vector>

namespace tidegate::daemon {

Worker::Worker(const std::string& name) {
  thread_ = std::thread([this] {
    std::vector<std::function<void()>> jobs;
    while (true) {
      jobs_.wait_all(jobs);
      if (jobs.empty()) return;
      for (auto& job : jobs) job();
    }
  });
  pthread_setname_np(thread_.native_handle(), name.substr(0, 15).c_str());
}

Worker::~Worker() {
  jobs_.close();
  thread_.join();
}

void Worker::post(std::function<void()> job) { jobs_.push(std::move(job)); }

}  // namespace tidegate::daemon
