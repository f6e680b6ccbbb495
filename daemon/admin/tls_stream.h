#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

// <utility> stands before Asio: Boost 1.74 uses std::exchange without it.
#include <boost/asio/buffer.hpp>
#include <boost/asio/compose.hpp>
#include <boost/asio/error.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/write.hpp>

#include "mqtt/tls_channel.h"

namespace tidegate::daemon {

/// TLS over a stream of Asio, as a stream for Beast. One operation at a time: whoever reads does not write meanwhile.
/// Deadlines are those of the stream below. Moved only before its first operation. That the peer has nothing more to
/// say is no error for who writes.
template <class Lower>
class TlsStream {
 public:
  using NetError = boost::system::error_code;
  using next_layer_type = Lower;
  using executor_type = typename Lower::executor_type;

  /// Of a client, which begins.
  TlsStream(Lower lower, mqtt::TlsChannel channel) : lower_(std::move(lower)), channel_(std::move(channel)) {}
  /// Of a server, whose side is made when the peer begins with TLS, and not for who only connects. An error of that
  /// ends the handshake.
  using Accept = std::function<Result<mqtt::TlsChannel>()>;
  TlsStream(Lower lower, Accept accept) : lower_(std::move(lower)), accept_(std::move(accept)) {}

  Lower& next_layer() { return lower_; }
  const Lower& next_layer() const { return lower_; }
  executor_type get_executor() { return lower_.get_executor(); }

  /// Why TLS came to nothing, in OpenSSL's words; empty where something else did.
  const std::string& failure() const { return failure_; }
  /// The peer's first byte was none of TLS.
  bool is_other_language() const { return is_other_language_; }

  /// handler(NetError).
  template <class Handler>
  void async_handshake(Handler&& handler) {
    if (channel_) take({});
    boost::asio::async_compose<Handler, void(NetError)>(Handshake{*this}, handler, lower_);
  }

  template <class Buffers, class Handler>
  void async_read_some(const Buffers& buffers, Handler&& handler) {
    boost::asio::async_compose<Handler, void(NetError, std::size_t)>(Read<Buffers>{*this, buffers}, handler, lower_);
  }

  template <class Buffers, class Handler>
  void async_write_some(const Buffers& buffers, Handler&& handler) {
    std::string plain(std::min(boost::asio::buffer_size(buffers), kPieceBytes), '\0');
    boost::asio::buffer_copy(boost::asio::buffer(plain), buffers);
    if (auto sent = channel_->send(plain, cipher_); !sent) note_failure(sent.error().message);
    boost::asio::async_compose<Handler, void(NetError, std::size_t)>(Write{*this, plain.size()}, handler, lower_);
  }

  /// Says goodbye, so that the peer knows that all of it has come: handler(NetError, std::size_t).
  template <class Handler>
  void async_goodbye(Handler&& handler) {
    channel_->close(cipher_);
    boost::asio::async_compose<Handler, void(NetError, std::size_t)>(Write{*this, 0}, handler, lower_);
  }

 private:
  static constexpr std::size_t kPieceBytes = std::size_t{64} * 1024;
  enum class Step { begun, ready, sent, received };

  // What TLS has to say goes out before anything else is done. True: it is under way, and `self` is called again.
  template <class Self>
  bool send_cipher(Self& self, Step& step) {
    if (step == Step::sent) cipher_.clear();
    if (cipher_.empty()) return false;
    step = Step::sent;
    boost::asio::async_write(lower_, boost::asio::buffer(cipher_), std::move(self));
    return true;
  }

  // No handler is called from within the function that begins the operation.
  template <class Self>
  bool is_first(Self& self, Step& step) {
    if (step != Step::begun) return false;
    step = Step::ready;
    boost::asio::post(lower_.get_executor(), std::move(self));
    return true;
  }

  struct Handshake {
    TlsStream& stream;
    Step step = Step::begun;

    template <class Self>
    void operator()(Self& self, NetError problem = {}, std::size_t count = 0) {
      if (problem) return self.complete(problem);
      if (step == Step::received) stream.take({stream.input_.data(), count});
      if (stream.send_cipher(self, step)) return;
      if (!stream.error_ && !stream.is_ready()) {
        step = Step::received;
        return stream.lower_.async_read_some(boost::asio::buffer(stream.input_), std::move(self));
      }
      // It may have said all that it has to say with its last word of the handshake.
      self.complete(stream.is_ready() ? NetError{} : stream.error_);
    }
  };

  template <class Buffers>
  struct Read {
    TlsStream& stream;
    Buffers buffers;
    Step step = Step::begun;

    template <class Self>
    void operator()(Self& self, NetError problem = {}, std::size_t count = 0) {
      // An end that nobody has announced may have been made by somebody on the way.
      if (problem == boost::asio::error::eof) problem = boost::asio::error::connection_reset;
      if (problem) return self.complete(problem, 0);
      if (step == Step::received) stream.take({stream.input_.data(), count});
      if (stream.send_cipher(self, step)) return;
      const bool is_over = !stream.plain_.empty() || stream.error_ || boost::asio::buffer_size(buffers) == 0;
      if (!is_over) {
        step = Step::received;
        return stream.lower_.async_read_some(boost::asio::buffer(stream.input_), std::move(self));
      }
      if (stream.is_first(self, step)) return;
      const std::size_t taken = boost::asio::buffer_copy(buffers, boost::asio::buffer(stream.plain_));
      stream.plain_.erase(0, taken);
      self.complete(taken > 0 ? NetError{} : stream.error_, taken);
    }
  };

  struct Write {
    TlsStream& stream;
    std::size_t bytes;
    Step step = Step::begun;

    template <class Self>
    void operator()(Self& self, NetError problem = {}, std::size_t /*count*/ = 0) {
      if (problem) return self.complete(problem, 0);
      if (stream.send_cipher(self, step) || stream.is_first(self, step)) return;
      const NetError error = stream.error_ == boost::asio::error::eof ? NetError{} : stream.error_;
      self.complete(error, error ? 0 : bytes);
    }
  };

  bool is_ready() const { return channel_ && channel_->is_ready(); }

  void take(std::string_view input) {
    if (!channel_ && !begin(input)) return;
    const auto received = channel_->receive(input, plain_, cipher_);
    if (received) return;
    note_failure(received.error().message);
    if (is_ready() && channel_->has_ended()) error_ = boost::asio::error::eof;
  }

  bool begin(std::string_view input) {
    if (input.empty() || input.front() != kHandshakeRecord) {
      is_other_language_ = true;
      note_failure("the client speaks no TLS");
      return false;
    }
    auto channel = accept_();
    if (channel) {
      channel_.emplace(std::move(*channel));
    } else {
      note_failure(channel.error().message);
    }
    return channel_.has_value();
  }

  void note_failure(const std::string& why) {
    failure_ = why;
    error_ = boost::asio::error::connection_aborted;
  }

  static constexpr char kHandshakeRecord = 0x16;

  Lower lower_;
  Accept accept_;  // of a server
  std::optional<mqtt::TlsChannel> channel_;
  std::array<char, std::size_t{8} * 1024> input_{};
  std::string plain_;   // that nobody has taken
  std::string cipher_;  // that is to be sent
  std::string failure_;
  NetError error_;
  bool is_other_language_ = false;
};

}  // namespace tidegate::daemon
