#pragma once

#include <functional>
#include <thread>
// <utility> stands before Asio: Boost 1.74 uses std::exchange without it.
#include <utility>

#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>

#include "core/time.h"

namespace tidegate::mqtt {

/// The one thread of all clients of the process ("mqtt"): their sockets, their timers, and the handlers of their
/// owners. Tasks run in the order in which they were posted; they do not throw, and do not wait: all others would. How
/// much waits here is bounded by those who post: publishes by the window of the uplink. Any thread may post. Lives
/// until the process ends.
class ClientThread {
 public:
  using Task = std::function<void()>;

  static ClientThread& instance();

  void post(Task task);
  void post_after(Duration delay, Task task);
  boost::asio::io_context& loop() { return loop_; }

 private:
  ClientThread();

  boost::asio::io_context loop_;
  boost::asio::executor_work_guard<boost::asio::io_context::executor_type> stays_;
  std::thread thread_;
};

}  // namespace tidegate::mqtt
