#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <iterator>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

// <utility> stands before Asio: Boost 1.74 uses std::exchange without it.
#include <boost/asio/write.hpp>
#include <boost/beast/core/basic_stream.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/core/stream_traits.hpp>
#include <boost/beast/http.hpp>

#include "daemon/admin/admin_crowd.h"
#include "daemon/admin/admin_host.h"
#include "daemon/admin/admin_message.h"
#include "daemon/admin/admin_refusals.h"
#include "daemon/admin/admin_server.h"
#include "daemon/admin/tls_stream.h"

namespace tidegate::daemon {

/// What the connections of an admin server share; it outlives what they do.
struct AdminSite {
  std::string host;  // of the configuration; empty: a Unix socket
  AdminHandler handler;
  AdminRefusals& refusals;
  bool is_tls = false;
  std::function<void(const std::string& peer, const std::string& why)> tell_failure{};  // of TLS
  std::function<void(const std::string& peer)> welcome{};                               // who has been let in
};

template <class Stream>
inline constexpr bool kIsTls = false;
template <class Lower>
inline constexpr bool kIsTls<TlsStream<Lower>> = true;

/// One connection to the admin address: requests one after the other, each answered before the next is read. Bounded in
/// size and time.
template <class Stream>
class AdminConnection : public std::enable_shared_from_this<AdminConnection<Stream>> {
 public:
  using NetError = boost::system::error_code;

  AdminConnection(Stream stream, std::string peer, const AdminSite& site, std::shared_ptr<AdminCrowd> crowd)
      : stream_(std::move(stream)), peer_(std::move(peer)), site_(site), crowd_(std::move(crowd)) {}
  AdminConnection(const AdminConnection&) = delete;
  AdminConnection& operator=(const AdminConnection&) = delete;
  ~AdminConnection() {
    if (guest_) crowd_->leave(*guest_);
  }

  void start() {
    guest_ = crowd_->enter(peer_, [weak = this->weak_from_this()] {
      if (const auto self = weak.lock()) self->lowest().close();
    });
    if (!guest_) return;
    if constexpr (kIsTls<Stream>) {
      lowest().expires_after(kHandshakeTime);
      stream_.async_handshake([self = this->shared_from_this()](NetError problem) {
        return problem ? self->give_up_handshake() : self->read();
      });
    } else {
      read();
    }
  }

 private:
  using Message = boost::beast::http::request<boost::beast::http::string_body>;

  static constexpr std::uint32_t kHeaderBytesMax = 16 * 1024;
  static constexpr std::uint32_t kBodyBytesMax = 64 * 1024;
  // What the kernel may hold of an answer that goes on: who reads slowly is not to see what was long ago.
  static constexpr int kStreamBufferBytes = 64 * 1024;
  static constexpr auto kIdleTime = std::chrono::seconds(30);
  static constexpr auto kHandshakeTime = std::chrono::seconds(10);
  static constexpr auto kLingerTime = std::chrono::seconds(2);
  static constexpr std::size_t kLingerBytesMost = std::size_t{16} * 1024 * 1024;
  static constexpr std::size_t kLingerPieceBytes = std::size_t{16} * 1024;

  boost::beast::lowest_layer_type<Stream>& lowest() { return boost::beast::get_lowest_layer(stream_); }

  void give_up_handshake() {
    if constexpr (kIsTls<Stream>) {
      if (!stream_.failure().empty()) site_.tell_failure(peer_, stream_.failure());
      if (!stream_.is_other_language()) return;
      piece_ = answer_in_the_clear();
      boost::asio::async_write(lowest(), boost::asio::buffer(piece_),
                               [self = this->shared_from_this()](NetError, std::size_t) {});
    }
  }

  void read() {
    parser_.emplace();
    parser_->header_limit(kHeaderBytesMax);
    parser_->body_limit(kBodyBytesMax);
    lowest().expires_after(kIdleTime);
    crowd_->set_idle(*guest_, is_let_in_);
    boost::beast::http::async_read_header(stream_, buffer_, *parser_,
                                          [self = this->shared_from_this()](NetError problem, std::size_t) {
                                            return problem ? self->give_up(problem) : self->read_body();
                                          });
  }

  // Behind what cannot be read no request can be found. Who is gone gets no answer.
  void give_up(const NetError& problem) {
    using Http = boost::beast::http::error;
    if (problem.category() != boost::beast::http::make_error_code(Http::bad_method).category()) return;
    if (problem == Http::end_of_stream || problem == Http::partial_message) return;
    crowd_->set_idle(*guest_, false);
    end_behind_answer();
    if (problem == Http::header_limit) return turn_away(431, "the head of a request has at most 16 KiB here");
    if (problem == Http::body_limit) return turn_away(413, "the body of a request has at most 64 KiB here");
    turn_away(400, "no request of HTTP/1: " + problem.message());
  }

  void end_behind_answer() {
    parser_->get().keep_alive(false);
    has_unread_ = true;
  }

  // Never in chunks: Beast 1.74 asserts what may come behind the last of them, and bounds neither their lines nor their
  // trailers. Nobody who asks here has more to say than it knows before.
  void read_body() {
    crowd_->set_idle(*guest_, false);
    if (parser_->get().count(boost::beast::http::field::transfer_encoding) > 0) {
      end_behind_answer();
      return turn_away(411, "a request has a Content-Length here, and no Transfer-Encoding");
    }
    boost::beast::http::async_read(stream_, buffer_, *parser_,
                                   [self = this->shared_from_this()](NetError problem, std::size_t) {
                                     return problem ? self->give_up(problem) : self->answer();
                                   });
  }

  void answer() {
    // However long the answer takes, the peer is not to blame.
    lowest().expires_never();
    if (!is_for_us(parser_->get())) {
      site_.refusals.add(AdminRefusal::other_host);
      return turn_away(421, "the Host of a request is to be an address, localhost, or the host of gateway.admin");
    }
    if (is_of_another_site(parser_->get())) {
      site_.refusals.add(AdminRefusal::other_site);
      parser_->get().keep_alive(false);
      return turn_away(403, "a page of another site asks for this: it may have a link to the status page, no more");
    }
    AdminRequest request = to_admin_request(parser_->get());
    request.peer = peer_;
    crowd_->set_stranger(*guest_, false);  // while it is answered
    site_.handler(request,
                  [self = this->shared_from_this()](AdminResponse response) { self->write(std::move(response)); });
  }

  void turn_away(unsigned status, std::string_view why) {
    AdminResponse response = refuse(status, why);
    response.is_for_stranger = true;
    write(std::move(response));
  }

  bool is_for_us(const Message& message) const {
    const auto hosts = message.equal_range(boost::beast::http::field::host);
    // Every browser says it, also through a tunnel to a Unix socket; HTTP/1.0 need not, nor a client of such a socket.
    if (hosts.first == hosts.second) return message.version() < 11 || site_.host.empty();
    if (std::next(hosts.first) != hosts.second) return false;
    // A name that points at us without being ours has no certificate that a browser takes, and none of our cookies.
    if (site_.is_tls) return true;
    const auto host = hosts.first->value();
    return is_own_host(std::string_view(host.data(), host.size()), site_.host);
  }

  void write(AdminResponse response) {
    const auto& request = parser_->get();
    if (!response.is_for_stranger && !std::exchange(is_let_in_, true)) site_.welcome(peer_);
    crowd_->set_stranger(*guest_, !is_let_in_);
    reply_ = {};
    reply_.version(request.version());
    // Each request of a stranger costs it a handshake, of which there are only so many a second.
    reply_.keep_alive(request.keep_alive() && !(site_.is_tls && response.is_for_stranger));
    reply_.result(response.status);
    reply_.set(boost::beast::http::field::content_type, response.content_type);
    reply_.set(boost::beast::http::field::cache_control, "no-store");
    reply_.set("X-Content-Type-Options", "nosniff");
    for (const auto& [name, value] : response.headers) reply_.set(name, value);
    if (response.stream) return begin(std::move(response.stream));
    reply_.body() = std::move(response.body);
    reply_.prepare_payload();
    if (request.method() == boost::beast::http::verb::head) reply_.body().clear();  // the length is that of a GET
    lowest().expires_after(kIdleTime);
    boost::beast::http::async_write(stream_, reply_, [self = this->shared_from_this()](NetError problem, std::size_t) {
      if (problem) return;
      if (self->reply_.keep_alive()) return self->read();
      return self->has_unread_ ? self->linger() : self->say_goodbye();
    });
  }

  // Without a length: it goes on until the connection ends.
  void begin(std::shared_ptr<AdminStream> source) {
    reply_.keep_alive(false);
    head_.emplace(reply_);
    NetError ignored;
    lowest().socket().set_option(boost::asio::socket_base::send_buffer_size(kStreamBufferBytes), ignored);
    lowest().expires_after(kStreamPatience);
    boost::beast::http::async_write_header(
        stream_, *head_,
        [self = this->shared_from_this(), source = std::move(source)](NetError problem, std::size_t) mutable {
          if (!problem) self->go_on(std::move(source));
        });
  }

  void go_on(std::shared_ptr<AdminStream> source) {
    lowest().expires_never();
    AdminStream& from = *source;
    from.next([self = this->shared_from_this(), source = std::move(source)](std::string piece) mutable {
      self->send(std::move(source), std::move(piece));
    });
  }

  void send(std::shared_ptr<AdminStream> source, std::string piece) {
    if (piece.empty()) return say_goodbye();
    piece_ = std::move(piece);
    lowest().expires_after(kStreamPatience);
    boost::asio::async_write(
        stream_, boost::asio::buffer(piece_),
        [self = this->shared_from_this(), source = std::move(source)](NetError problem, std::size_t) mutable {
          if (!problem) self->go_on(std::move(source));
        });
  }

  // A connection that is closed with something unread is reset, and the answer on its way lost with it.
  void linger() {
    crowd_->set_idle(*guest_, true);
    lowest().expires_after(kLingerTime);
    if constexpr (kIsTls<Stream>) {
      stream_.async_goodbye([self = this->shared_from_this()](NetError problem, std::size_t) {
        if (!problem) self->end_output();
      });
    } else {
      end_output();
    }
  }

  void end_output() {
    NetError ignored;
    lowest().socket().shutdown(boost::asio::socket_base::shutdown_send, ignored);
    piece_.resize(kLingerPieceBytes);
    pass_over();
  }

  void pass_over() {
    lowest().async_read_some(boost::asio::buffer(piece_),
                             [self = this->shared_from_this()](NetError problem, std::size_t count) {
                               self->passed_over_ += count;
                               if (!problem && self->passed_over_ < kLingerBytesMost) self->pass_over();
                             });
  }

  void say_goodbye() {
    if constexpr (kIsTls<Stream>) {
      lowest().expires_after(kStreamPatience);
      stream_.async_goodbye([self = this->shared_from_this()](NetError, std::size_t) {});
    }
  }

  Stream stream_;
  const std::string peer_;
  const AdminSite& site_;
  const std::shared_ptr<AdminCrowd> crowd_;
  std::optional<std::uint64_t> guest_;
  bool is_let_in_ = false;
  bool has_unread_ = false;
  std::size_t passed_over_ = 0;
  boost::beast::flat_buffer buffer_{kHeaderBytesMax + kBodyBytesMax};
  std::optional<boost::beast::http::request_parser<boost::beast::http::string_body>> parser_;
  boost::beast::http::response<boost::beast::http::string_body> reply_;
  std::optional<boost::beast::http::response_serializer<boost::beast::http::string_body>> head_;  // of what goes on
  std::string piece_;
};

}  // namespace tidegate::daemon
