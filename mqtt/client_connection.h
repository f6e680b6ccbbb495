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
#include "mqtt/client_protocol.h"
#include "mqtt/connect_failure.h"
#include "mqtt/tls_channel.h"

namespace tidegate::mqtt {

/// One attempt at a connection to a broker, and the connection that comes of it: the socket, TLS, and the timer of the
/// protocol. It tells its events until it is over, or until close(). Clients' thread.
class ClientConnection : public std::enable_shared_from_this<ClientConnection> {
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
  void begin();
  void wait_for_input();
  void read();
  void take(std::string_view input);
  void flush();
  bool fetch_output();
  void wait_for_output();
  void go_on();
  void arm();
  std::optional<std::uint64_t> taken_of_unsent();
  void resume_later();
  void end(std::optional<LinkState> why);
  void end_socket();
  std::optional<LinkState> why_ended(const boost::system::error_code& problem) const;
  std::optional<LinkState> why_ended(const ConnectFailure& failure) const;

  const BrokerOptions& broker_;
  ConnectionEvents& events_;
  const SystemClock clock_;
  ClientProtocol protocol_;
  std::optional<TlsChannel> tls_;
  boost::asio::ip::tcp::socket socket_;
  boost::asio::steady_timer timer_;
  std::optional<BootTime> armed_for_;
  boost::asio::steady_timer resume_timer_;
  Duration resume_pause_{};
  bool resume_waits_ = false;
  bool is_open_ = false;
  std::string sending_;
  std::size_t sent_ = 0;  // of that
  std::uint64_t given_to_kernel_ = 0;
  bool waits_for_input_ = false;
  bool waits_for_output_ = false;
  bool flush_waits_ = false;
  bool closed_ = false;
};

}  // namespace tidegate::mqtt
