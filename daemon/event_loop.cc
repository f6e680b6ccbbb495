#include "daemon/event_loop.h"

#include <sys/timerfd.h>
#include <unistd.h>

#include <csignal>
#include <cstdint>
#include <utility>
#include <vector>

// <utility> stands before Asio: Boost 1.74 uses std::exchange without it.
#include <boost/asio/io_context.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/signal_set.hpp>
#include <boost/asio/steady_timer.hpp>

#include "core/descriptor.h"
#include "core/log.h"

namespace tidegate::daemon {
namespace {

class AsioTimer final : public Timer {
 public:
  explicit AsioTimer(boost::asio::io_context& context) : timer_(context) {}

  void arm(Duration after, std::function<void()> action) override {
    timer_.expires_after(after);
    timer_.async_wait([action = std::move(action)](const boost::system::error_code& problem) {
      if (!problem) action();
    });
  }
  void cancel() override { timer_.cancel(); }

 private:
  boost::asio::steady_timer timer_;
};

// A timer of the wall clock that never expires: setting the clock cancels it, and that is what it is for.
class ClockSetNotice {
 public:
  ClockSetNotice(boost::asio::io_context& context, std::function<void()> action)
      : descriptor_(context), action_(std::move(action)) {}

  bool start() {
    Descriptor timer(::timerfd_create(CLOCK_REALTIME, TFD_NONBLOCK | TFD_CLOEXEC));
    if (!timer.is_open()) return false;
    boost::system::error_code problem;
    descriptor_.assign(timer.get(), problem);
    if (problem) return false;
    timer.release();
    if (!arm()) return false;
    wait();
    return true;
  }

 private:
  bool arm() {
    itimerspec never{};
    never.it_value.tv_sec = kNeverSeconds;
    return ::timerfd_settime(descriptor_.native_handle(), TFD_TIMER_ABSTIME | TFD_TIMER_CANCEL_ON_SET, &never,
                             nullptr) == 0;
  }
  void wait() {
    descriptor_.async_wait(boost::asio::posix::stream_descriptor::wait_read,
                           [this](const boost::system::error_code& problem) {
                             if (!problem) notice();
                           });
  }
  void notice() {
    std::uint64_t expired = 0;
    // ECANCELED most often; whatever it is, the clock is worth a look.
    [[maybe_unused]] const auto count = ::read(descriptor_.native_handle(), &expired, sizeof expired);
    const bool armed = arm();
    action_();
    if (armed) wait();
  }

  static constexpr time_t kNeverSeconds = sizeof(time_t) > 4 ? 9'000'000'000 : INT32_MAX;  // the year 2255

  boost::asio::posix::stream_descriptor descriptor_;
  std::function<void()> action_;
};

}  // namespace

class EventLoop::Impl {
 public:
  struct SignalHandler {
    explicit SignalHandler(boost::asio::io_context& context, int number, std::function<void()> wanted)
        : set(context, number), action(std::move(wanted)) {}
    boost::asio::signal_set set;
    std::function<void()> action;
  };

  static void wait_for(SignalHandler& handler) {
    handler.set.async_wait([&handler](const boost::system::error_code& problem, int) {
      if (problem) return;
      handler.action();
      wait_for(handler);
    });
  }

  boost::asio::io_context context{1};
  std::vector<std::unique_ptr<SignalHandler>> signals;
  std::unique_ptr<ClockSetNotice> clock_set;
};

EventLoop::EventLoop() : impl_(std::make_unique<Impl>()) {}
EventLoop::~EventLoop() = default;

void EventLoop::post(std::function<void()> action) { boost::asio::post(impl_->context, std::move(action)); }

std::unique_ptr<Timer> EventLoop::make_timer() { return std::make_unique<AsioTimer>(impl_->context); }

void EventLoop::on_signal(int signal_number, std::function<void()> action) {
  impl_->signals.push_back(std::make_unique<Impl::SignalHandler>(impl_->context, signal_number, std::move(action)));
  Impl::wait_for(*impl_->signals.back());
}

void EventLoop::on_clock_set(std::function<void()> action) {
  impl_->clock_set = std::make_unique<ClockSetNotice>(impl_->context, std::move(action));
  if (!impl_->clock_set->start()) log_warning("clock", "the kernel gives no notice when the clock is set");
}

void EventLoop::run() {
  const auto keep_running = boost::asio::make_work_guard(impl_->context);
  impl_->context.restart();
  impl_->context.run();
}

void EventLoop::stop() { impl_->context.stop(); }

boost::asio::io_context& EventLoop::context() { return impl_->context; }

}  // namespace tidegate::daemon
