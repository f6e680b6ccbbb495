#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
// <utility> stands before Asio: Boost 1.74 uses std::exchange without it.
#include <utility>
#include <vector>

#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>

#include "core/time.h"
#include "mqtt/connect_failure.h"
#include "mqtt/tls_channel.h"

namespace tidegate::mqtt {

/// Who has a BrokerSocket. Each is called on the socket's loop, and none any more after close().
class BrokerSocketOwner {
 public:
  virtual ~BrokerSocketOwner() = default;
  /// It is connected; a TLS handshake has begun where there is to be one.
  virtual void on_open() = 0;
  /// No address has taken it; failure() says why. May come from within open().
  virtual void on_not_open() = 0;
  /// Something has come, since wait_for_input().
  virtual void on_input() = 0;
  /// There is room again for what write() has left.
  virtual void on_room() = 0;
};

/// One connection to a broker, in TLS where there is a channel: what comes is taken out of TLS, what goes is put into
/// it, and what the socket does not take waits here. Knows nothing of MQTT. How much is put in is the owner's to bound,
/// and so is the time that a connection or a handshake may take. One thread, that of the loop.
class BrokerSocket {
 public:
  BrokerSocket(boost::asio::io_context& loop, std::optional<TlsChannel> tls);
  BrokerSocket(const BrokerSocket&) = delete;
  BrokerSocket& operator=(const BrokerSocket&) = delete;

  /// Tries the addresses in turn, each with its share of `patience`. `owner` owns this.
  void open(std::weak_ptr<BrokerSocketOwner> owner, std::vector<boost::asio::ip::tcp::endpoint> addresses,
            Duration patience);
  /// Connected, and not closed.
  bool is_open() const { return is_open_; }
  /// And through with TLS: put() may be called.
  bool is_ready() const { return is_open_ && (!tls_ || tls_->is_ready()); }

  void wait_for_input();
  bool waits_for_input() const { return waits_for_input_; }
  struct Input {
    std::string_view plain;  // until the next call
    bool is_more = false;    // there may be
    bool is_end = false;     // after that the connection is to be closed; failure() says why
  };
  /// Reads once what has come, into `buffer`, which outlives what is given.
  Input read(std::span<char> buffer);

  /// Takes `out` behind what is not sent yet; it is empty then. False: the connection is to be closed. With nothing to
  /// take and nothing unsent both let go of memory.
  bool put(std::string& out);
  /// Writes what the socket takes; on_room() follows where that is not all. False: the connection is to be closed.
  bool write();
  std::size_t unsent() const { return sending_.size() - sent_; }
  bool waits_for_room() const { return waits_for_room_; }
  /// How much the broker's side of the network has acknowledged so far, while it has not acknowledged all.
  std::optional<std::uint64_t> taken_so_far();

  /// Nothing goes out any more; in TLS that is said, if it can be at once.
  void end_output();
  void close();

  const ConnectFailure& failure() const { return failure_; }

 private:
  void begin();
  void note(const boost::system::error_code& problem);
  void write_last();

  std::optional<TlsChannel> tls_;
  boost::asio::ip::tcp::socket socket_;
  std::weak_ptr<BrokerSocketOwner> owner_;
  bool is_open_ = false;
  bool is_closed_ = false;
  std::string plain_;     // what was read last, in TLS
  std::string sending_;   // as it goes to the socket
  std::size_t sent_ = 0;  // of that
  std::uint64_t given_to_kernel_ = 0;
  bool waits_for_input_ = false;
  bool waits_for_room_ = false;
  ConnectFailure failure_;
};

}  // namespace tidegate::mqtt
