#include "mqtt/client_thread.h"

#include <pthread.h>

#include <algorithm>
#include <csignal>
#include <memory>

#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>

namespace tidegate::mqtt {

ClientThread& ClientThread::instance() {
  // Never destroyed: a client may post from a destructor that runs as late as it likes.
  static ClientThread* const kInstance = new ClientThread;
  return *kInstance;
}

ClientThread::ClientThread()
    : stays_(boost::asio::make_work_guard(loop_)), thread_([this] {
        sigset_t all;
        sigfillset(&all);
        ::pthread_sigmask(SIG_BLOCK, &all, nullptr);
        ::pthread_setname_np(::pthread_self(), "mqtt");
        loop_.run();
      }) {}

void ClientThread::post(Task task) { boost::asio::post(loop_, std::move(task)); }

void ClientThread::post_after(Duration delay, Task task) {
  const auto timer = std::make_shared<boost::asio::steady_timer>(loop_, std::max(delay, Duration::zero()));
  timer->async_wait([timer, task = std::move(task)](const boost::system::error_code&) { task(); });
}

}  // namespace tidegate::mqtt
