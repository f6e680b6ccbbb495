#include "daemon/worker.h"

#include <pthread.h>
#include <unistd.h>

#include <csignal>
#include <fstream>
#include <utility>
#include <vector>

namespace tidegate::daemon {

Worker::Worker(const std::string& name) {
  thread_ = std::thread([this] {
    thread_id_ = ::gettid();
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

// "TID (NAME) STATE ...", and the name can hold anything but ours.
bool Worker::waits_for_disk() const {
  std::ifstream file("/proc/self/task/" + std::to_string(thread_id_) + "/stat");
  std::string text;
  std::getline(file, text);
  const auto name_end = text.rfind(')');
  return name_end != std::string::npos && text.compare(name_end, 3, ") D") == 0;
}

void Worker::post(std::function<void()> job) { jobs_.push(std::move(job)); }

}  // namespace tidegate::daemon
