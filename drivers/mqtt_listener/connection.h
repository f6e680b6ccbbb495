#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
// <utility> stands before Asio: Boost 1.74 uses std::exchange without it.
#include <utility>

#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/steady_timer.hpp>

#include "drivers/mqtt_listener/listener_core.h"
#include "drivers/mqtt_listener/session.h"
#include "mqtt/tls_channel.h"

namespace tidegate::drivers {

class Connection;

/// What connections share and tell their listener, which outlives them.
struct ConnectionContext {
  ListenerCore* core = nullptr;
  const ListenerLimits* limits = nullptr;
  const Clock* clock = nullptr;
  std::string* read_buffer = nullptr;              // one for all: nothing stays in it between two events
  std::size_t held_share = 0;                      // what each connection may hold of a packet that is not all there
  std::uint64_t* reads = nullptr;                  // of all connections
  std::size_t* held_bytes = nullptr;               // of such packets beyond the share, of all connections
  std::function<void()> make_room;                 // ends whoever holds most, where that is too much in all
  std::function<void(Connection&)> subscribed;     // it has its first subscription
  std::function<void(Connection&)> wants_to_send;  // it may be able to send more of what it is subscribed to
  std::function<void(Connection&)> slowed;         // it sends faster than it may, and is read from later
  std::function<void(Connection&)> closed;         // may destroy the connection later, never at once
};

/// One socket of the listener with its session: moves bytes, holds what is not a whole packet yet, and writes at once
/// what can be written. Core thread. Lives until its closed() was called and nothing is pending on the socket.
class Connection : public std::enable_shared_from_this<Connection> {
 public:
  Connection(boost::asio::ip::tcp::socket socket, std::optional<mqtt::TlsChannel> tls, const ConnectionContext& context,
             std::string peer);

  void start();
  /// Messages became safe, or there is room again: sends what can go and reads on.
  void resume();
  /// Reads nothing more; what is acknowledged later still goes out.
  void stop_reading() { reading_stopped_ = true; }
  /// Whether send_latest() would send something.
  bool can_send_latest() const;
  /// Sends of what the client is subscribed to, until the budget is used up; see Subscriber::fill().
  void send_latest(std::size_t& budget);
  /// Looks at the session's deadline.
  void check_deadline(BootTime now);
  /// Ends the session for the bytes that are held, and forgets them; resume() sends the goodbye.
  void give_up_held();
  void close();

  /// Something is still to be taken by the peer.
  bool has_unsent() const { return !closed_ && (!sending_.empty() || !session_.out().empty()); }

  /// What it holds beyond its share.
  std::size_t held_beyond_share() const { return beyond_share_; }
  /// Grows from connection to connection in the order in which they were last read from.
  std::uint64_t last_read() const { return last_read_; }
  ListenerSession& session() { return session_; }
  const ListenerSession& session() const { return session_; }
  const std::string& peer() const { return peer_; }
  /// No TLS connection came about: the client speaks none, or was refused, or refused us.
  bool is_tls_refused() const { return is_tls_refused_; }

 private:
  void wait_for_input();
  void read();
  bool take(std::string_view input);
  bool may_take() const;
  std::size_t read_bytes_max() const;
  void go_on();
  void wait_while_slowed();
  void work_through(std::string_view plain);
  std::size_t receive(std::string_view plain);
  void count_held();
  void look_at_subscriber();
  void check_unfinished(BootTime now);
  void flush();
  void write_more();
  void end_when_sent();

  boost::asio::ip::tcp::socket socket_;
  std::optional<mqtt::TlsChannel> tls_;
  const ConnectionContext& context_;
  const std::string peer_;
  ListenerSession session_;
  std::string held_;  // plaintext that the session has not taken
  std::size_t beyond_share_ = 0;
  BootTime held_since_{};
  std::uint64_t last_read_ = 0;
  std::unique_ptr<boost::asio::steady_timer> rate_timer_;  // once the client was too fast
  bool is_slowed_ = false;
  std::string sending_;  // what the socket has not taken
  bool is_subscriber_ = false;
  bool waits_for_input_ = false;
  bool waits_for_output_ = false;
  bool reading_stopped_ = false;
  bool is_tls_refused_ = false;
  bool was_over_ = false;  // when its deadline was last looked at
  bool closed_ = false;
};

}  // namespace tidegate::drivers
