#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
// <utility> stands before Asio: Boost 1.74 uses std::exchange without it.
#include <utility>
#include <vector>

#include <boost/asio/ip/tcp.hpp>

#include "core/clock.h"
#include "drivers/mqtt_subscriber/subscriber_session.h"
#include "mqtt/broker_socket.h"

namespace tidegate::drivers {

/// What a connection has of its driver, which outlives it or closes it before.
struct BrokerContext {
  boost::asio::io_context* loop = nullptr;
  const Clock* clock = nullptr;
  const Inbox* inbox = nullptr;
  std::string* read_buffer = nullptr;  // nothing stays in it between two events
  std::function<void()> changed;       // something was said, or the connection has ended; may close it
};

/// One socket to a broker with its session: connects, moves bytes, holds what is not a whole packet yet, and writes at
/// once what can be written. Core thread. After close() nothing is called any more.
class BrokerConnection final : public mqtt::BrokerSocketOwner, public std::enable_shared_from_this<BrokerConnection> {
 public:
  BrokerConnection(const BrokerContext& context, std::unique_ptr<SubscriberSession> session,
                   std::optional<mqtt::TlsChannel> tls);

  /// Tries the addresses in turn, each with its share of `patience`.
  void open(std::vector<boost::asio::ip::tcp::endpoint> addresses, Duration patience);
  /// Messages became safe, or there is room again: sends what can go and reads on.
  void resume();
  /// Reads nothing more; what is acknowledged later still goes out.
  void stop_reading() { reading_stopped_ = true; }
  void tick(BootTime now);
  /// Sends what can go and a goodbye, takes nothing more in, and is over when the broker has ended the connection too,
  /// or when it does not in time.
  void say_goodbye();
  void close();

  /// When to call tick(), at the latest.
  BootTime deadline() const;
  bool is_leaving() const { return leave_at_most_until_ && !closed_; }
  bool is_over() const { return closed_; }
  /// How it ended, or how it stands; nothing while that is open.
  std::optional<mqtt::LinkState> link() const { return session_->link(); }
  /// What kept it from coming about, where the session does not have the reason.
  const mqtt::ConnectFailure& failure() const { return socket_.failure(); }
  SubscriberSession& session() { return *session_; }
  const SubscriberSession& session() const { return *session_; }

 private:
  // BrokerSocketOwner.
  void on_open() override;
  void on_not_open() override { lose(); }
  void on_input() override;
  void on_room() override;

  void drop_input();
  bool may_read() const;
  void work_through(std::string_view plain);
  std::size_t receive(std::string_view plain);
  void flush();
  void write_more();
  void end_when_sent();
  void lose();

  const BrokerContext& context_;
  const std::unique_ptr<SubscriberSession> session_;
  mqtt::BrokerSocket socket_;
  std::string held_;  // what the session has not taken
  bool reading_stopped_ = false;
  std::optional<BootTime> leave_at_most_until_;  // since our goodbye
  bool has_left_ = false;                        // all is sent, that too
  bool closed_ = false;
};

}  // namespace tidegate::drivers
