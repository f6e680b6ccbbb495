#pragma once

#include <functional>
#include <memory>

#include "core/time.h"

namespace boost::asio {
class io_context;
}

namespace tidegate::daemon {

/// One shot at a time on the core thread; arming again replaces what was armed.
class Timer {
 public:
  virtual ~Timer() = default;
  virtual void arm(Duration after, std::function<void()> action) = 0;
  virtual void cancel() = 0;
};

/// The core thread's loop (Boost.Asio, one thread). Keeps Asio out of everything that only needs timers and posts.
/// post() from any thread, the rest on the thread that calls run().
class EventLoop {
 public:
  EventLoop();
  ~EventLoop();
  EventLoop(const EventLoop&) = delete;
  EventLoop& operator=(const EventLoop&) = delete;

  void post(std::function<void()> action);
  std::unique_ptr<Timer> make_timer();
  /// Calls `action` on the loop each time the signal arrives.
  void on_signal(int signal_number, std::function<void()> action);
  /// Calls `action` on the loop when the wall clock was set (timerfd with cancel on set), as far as the kernel tells.
  void on_clock_set(std::function<void()> action);
  /// Runs until stop(); may be called again.
  void run();
  void stop();
  boost::asio::io_context& context();

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace tidegate::daemon
