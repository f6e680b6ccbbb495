#pragma once

#include <deque>
#include <memory>
#include <utility>
#include <vector>

#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>

#include "core/index_set.h"

namespace tidegate::drivers {

class Connection;

/// Sends to subscribers what they wait for, in rounds that are short and have pauses between them, so that sensors wait
/// for none of it. In a round each has a share, whoever was served last waits longest. Core thread.
class SendRounds {
 public:
  explicit SendRounds(boost::asio::io_context& loop) : timer_(loop) {}
  ~SendRounds() { *alive_ = false; }
  SendRounds(const SendRounds&) = delete;
  SendRounds& operator=(const SendRounds&) = delete;

  /// The connection has a subscription; remove() it before it goes.
  void add(Connection& connection);
  void remove(Connection& connection);
  void note_changed(const IndexSet& changed);
  /// It may have something to send, or can send again.
  void want(Connection& connection);

 private:
  void arm();
  void serve();

  boost::asio::steady_timer timer_;
  std::vector<Connection*> subscribers_;
  std::deque<std::shared_ptr<Connection>> waiting_;
  bool is_armed_ = false;
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
};

}  // namespace tidegate::drivers
