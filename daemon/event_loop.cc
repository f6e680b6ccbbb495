#include "daemon/event_loop.h"

#include <csignal>
#include <utility>
#include <vector>

// <utility> stands before Asio: Boost 1.74 uses std::exchange without it.
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/signal_set.hpp>
#include <boost/asio/steady_timer.hpp>

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

}  // namespace

class EventLoop::Impl {
 public:
  struct SignalHandler {
    explicit SignalHandler(boost::asio::io_context& context, int number, std::function<void()> wanted)
        : set(context, number), action(std::move(wanted)) {}
    boost::asio::signal_set set;
    std::function<void()> action;
  };

  void wait_for(SignalHandler& handler) {
    handler.set.async_wait([this, &handler](const boost::system::error_code& problem, int) {
      if (problem) return;
      handler.action();
      wait_for(handler);
    });
  }

  boost::asio::io_context context{1};
  std::vector<std::unique_ptr<SignalHandler>> signals;
};

EventLoop::EventLoop() : impl_(std::make_unique<Impl>()) {}
EventLoop::~EventLoop() = default;

void EventLoop::post(std::function<void()> action) { boost::asio::post(impl_->context, std::move(action)); }

std::unique_ptr<Timer> EventLoop::make_timer() { return std::make_unique<AsioTimer>(impl_->context); }

void EventLoop::on_signal(int signal_number, std::function<void()> action) {
  impl_->signals.push_back(std::make_unique<Impl::SignalHandler>(impl_->context, signal_number, std::move(action)));
  impl_->wait_for(*impl_->signals.back());
}

void EventLoop::forget_signals() { impl_->signals.clear(); }

void EventLoop::run() {
  const auto keep_running = boost::asio::make_work_guard(impl_->context);
  impl_->context.restart();
  impl_->context.run();
}

void EventLoop::stop() { impl_->context.stop(); }

boost::asio::io_context& EventLoop::context() { return impl_->context; }

}  // namespace tidegate::daemon
