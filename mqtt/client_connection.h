#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>
// <utility> stands before Asio: Boost 1.74 uses std::exchange without it.
#include <utility>
#include <vector>

#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/steady_timer.hpp>

#include "core/clock.h"
#include "mqtt/broker_socket.h"
#include "mqtt/client_protocol.h"

namespace tidegate::mqtt {

/// One attempt at a connection to a broker, and the connection that comes of it: the socket, the protocol and its
/// timer. It tells its events until it is over, or until close(). Clients' thread.
class ClientConnection final : public BrokerSocketOwner, public std::enable_shared_from_this<ClientConnection> {
 public:
  /// `broker`, `subscriptions` and `events` are there until close().
  ClientConnection(const BrokerOptions& broker, const std::vector<Subscription>& subscriptions,
                   ConnectionEvents& events, const std::optional<ConnectionWill>& will, std::optional<TlsChannel> tls);
  ClientConnection(const ClientConnection&) = delete;
  ClientConnection& operator=(const ClientConnection&) = delete;

  /// Tries the addresses in turn, each with its share of the time.
  void open(std::vector<boost::asio::ip::tcp::endpoint> addresses);
  void publish(std::optional<InFlight::Number> number, Publication publication);
  /// Says goodbye, if that can be sent at once, and ends it. No event comes any more.
  void close();

 private:
  // BrokerSocketOwner.
  void on_open() override { go_on(); }
  void on_not_open() override { end(why_ended()); }
  void on_input() override;
  void on_room() override { go_on(); }

  void wait_for_input();
  void flush();
  void go_on();
  void arm();
  void resume_later();
  void end(std::optional<LinkState> why);
  void end_unwritable();
  void end_socket();
  std::optional<LinkState> why_ended() const;

  const BrokerOptions& broker_;
  ConnectionEvents& events_;
  const SystemClock clock_;
  ClientProtocol protocol_;
  BrokerSocket socket_;
  boost::asio::steady_timer timer_;
  std::optional<BootTime> armed_for_;
  boost::asio::steady_timer resume_timer_;
  Duration resume_pause_{};
  bool resume_waits_ = false;
  bool flush_waits_ = false;
  bool closed_ = false;
};

}  // namespace tidegate::mqtt
