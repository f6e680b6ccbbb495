#include "daemon/admin_server.h"

#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <optional>
#include <type_traits>
#include <utility>

// <utility> stands before Asio: Boost 1.74 uses std::exchange without it.
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/local/stream_protocol.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/write.hpp>
#include <boost/beast/core/basic_stream.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/http.hpp>

#include "core/descriptor.h"
#include "core/text.h"
#include "daemon/admin_host.h"
#include "daemon/config/admin_address.h"
#include "daemon/json_writer.h"
#include "daemon/percent_encode.h"

namespace tidegate::daemon {
namespace {

namespace net = boost::asio;
namespace beast = boost::beast;
namespace http = boost::beast::http;
using NetError = boost::system::error_code;

constexpr std::size_t kConnectionsMax = 64;
constexpr std::uint32_t kHeaderBytesMax = 16 * 1024;
constexpr std::uint64_t kBodyBytesMax = 64 * 1024;
// What the kernel may hold of an answer that goes on: who reads slowly is not to see what was long ago.
constexpr int kStreamBufferBytes = 64 * 1024;
constexpr auto kIdleTimeout = std::chrono::seconds(30);
constexpr auto kAcceptPause = std::chrono::milliseconds(500);  // after accept() failed, as for want of descriptors

AdminRequest to_request(const http::request<http::string_body>& message) {
  AdminRequest request;
  request.method = std::string(message.method_string());
  const auto type = message[http::field::content_type];
  request.content_type = std::string(type.data(), type.size());
  request.body = message.body();
  std::string_view target(message.target().data(), message.target().size());
  const std::size_t mark = target.find('?');
  request.path = std::string(target.substr(0, mark));
  if (mark == std::string_view::npos) return request;
  for (const auto part : split(target.substr(mark + 1), '&')) {
    const std::size_t equals = part.find('=');
    const std::string_view text = equals == std::string_view::npos ? std::string_view() : part.substr(equals + 1);
    request.query[percent_decode(part.substr(0, equals))] = percent_decode(text);
  }
  return request;
}

std::string_view text_of(const http::request<http::string_body>& message, const char* field) {
  const auto value = message[field];
  return {value.data(), value.size()};
}

// As browsers say themselves. What pages elsewhere ask for they cannot read, but it would hold connections and places
// of those who listen. That somebody follows a link to the status page is no harm.
bool is_of_another_site(const http::request<http::string_body>& message) {
  const std::string_view site = text_of(message, "Sec-Fetch-Site");
  if (site != "cross-site" && site != "same-site") return false;
  const std::string_view target(message.target().data(), message.target().size());
  const bool is_link = message.method() == http::verb::get && text_of(message, "Sec-Fetch-Mode") == "navigate";
  return !is_link || target.substr(0, target.find('?')) != "/";
}

struct Site {
  std::string host;  // of the configuration; empty: a Unix socket
  AdminHandler handler;
};

// Connections count themselves, so that there are never more than kConnectionsMax.
using ConnectionCount = std::shared_ptr<std::size_t>;

template <class Protocol>
class Session : public std::enable_shared_from_this<Session<Protocol>> {
 public:
  using Stream = beast::basic_stream<Protocol>;

  Session(typename Protocol::socket socket, const Site& site, ConnectionCount count)
      : stream_(std::move(socket)), site_(site), count_(std::move(count)) {
    ++*count_;
  }
  Session(const Session&) = delete;
  Session& operator=(const Session&) = delete;
  ~Session() { --*count_; }

  void read() {
    parser_.emplace();
    parser_->header_limit(kHeaderBytesMax);
    parser_->body_limit(kBodyBytesMax);
    stream_.expires_after(kIdleTimeout);
    http::async_read(stream_, buffer_, *parser_, [self = this->shared_from_this()](NetError problem, std::size_t) {
      if (!problem) self->answer();
    });
  }

 private:
  void answer() {
    // However long the answer takes, the peer is not to blame.
    stream_.expires_never();
    if (!is_for_us(parser_->get())) {
      return write(refuse(421, "the Host of a request is to be an address, localhost, or the host of gateway.admin"));
    }
    if (is_of_another_site(parser_->get())) {
      parser_->get().keep_alive(false);
      return write(refuse(403, "a page of another site asks for this: it may have a link to the status page, no more"));
    }
    site_.handler(to_request(parser_->get()),
                  [self = this->shared_from_this()](AdminResponse response) { self->write(std::move(response)); });
  }

  bool is_for_us(const http::request<http::string_body>& message) const {
    const auto hosts = message.equal_range(http::field::host);
    // Every browser says it, also through a tunnel to a Unix socket; HTTP/1.0 need not, nor a client of such a socket.
    if (hosts.first == hosts.second) return message.version() < 11 || !std::is_same_v<Protocol, net::ip::tcp>;
    const auto host = hosts.first->value();
    return std::next(hosts.first) == hosts.second &&
           is_own_host(std::string_view(host.data(), host.size()), site_.host);
  }

  void write(AdminResponse response) {
    const auto& request = parser_->get();
    reply_ = {};
    reply_.version(request.version());
    reply_.keep_alive(request.keep_alive());
    reply_.result(response.status);
    reply_.set(http::field::content_type, response.content_type);
    reply_.set(http::field::cache_control, "no-store");
    reply_.set("X-Content-Type-Options", "nosniff");
    for (const auto& [name, value] : response.headers) reply_.set(name, value);
    if (response.stream) return begin(std::move(response.stream));
    reply_.body() = std::move(response.body);
    if (request.method() == http::verb::head) reply_.body().clear();
    reply_.prepare_payload();
    stream_.expires_after(kIdleTimeout);
    http::async_write(stream_, reply_, [self = this->shared_from_this()](NetError problem, std::size_t) {
      if (!problem && self->reply_.keep_alive()) self->read();
    });
  }

  // Without a length: it goes on until the connection ends.
  void begin(std::shared_ptr<AdminStream> source) {
    reply_.keep_alive(false);
    head_.emplace(reply_);
    NetError ignored;
    stream_.socket().set_option(net::socket_base::send_buffer_size(kStreamBufferBytes), ignored);
    stream_.expires_after(kStreamPatience);
    http::async_write_header(
        stream_, *head_,
        [self = this->shared_from_this(), source = std::move(source)](NetError problem, std::size_t) mutable {
          if (!problem) self->go_on(std::move(source));
        });
  }

  void go_on(std::shared_ptr<AdminStream> source) {
    stream_.expires_never();
    AdminStream& from = *source;
    from.next([self = this->shared_from_this(), source = std::move(source)](std::string piece) mutable {
      self->send(std::move(source), std::move(piece));
    });
  }

  void send(std::shared_ptr<AdminStream> source, std::string piece) {
    if (piece.empty()) return;
    piece_ = std::move(piece);
    stream_.expires_after(kStreamPatience);
    net::async_write(
        stream_, net::buffer(piece_),
        [self = this->shared_from_this(), source = std::move(source)](NetError problem, std::size_t) mutable {
          if (!problem) self->go_on(std::move(source));
        });
  }

  Stream stream_;
  const Site& site_;
  ConnectionCount count_;
  beast::flat_buffer buffer_;
  std::optional<http::request_parser<http::string_body>> parser_;
  http::response<http::string_body> reply_;
  std::optional<http::response_serializer<http::string_body>> head_;  // of an answer that goes on
  std::string piece_;
};

template <class Protocol>
class Listener final : public AdminServer {
 public:
  Listener(EventLoop& loop, Site site) : acceptor_(loop.context()), pause_(loop.context()), site_(std::move(site)) {}
  Listener(const Listener&) = delete;
  Listener& operator=(const Listener&) = delete;
  ~Listener() override { stop(); }

  NetError listen(const typename Protocol::endpoint& endpoint) {
    NetError problem;
    acceptor_.open(endpoint.protocol(), problem);
    if (!problem) close_on_exec(acceptor_.native_handle());
    if (!problem) acceptor_.set_option(net::socket_base::reuse_address(true), problem);
    if (!problem) acceptor_.bind(endpoint, problem);
    if (!problem) acceptor_.listen(net::socket_base::max_listen_connections, problem);
    return problem;
  }
  void set_address(std::string address, std::string socket_path) {
    address_ = std::move(address);
    socket_path_ = std::move(socket_path);
  }
  typename Protocol::endpoint endpoint() const { return acceptor_.local_endpoint(); }

  void accept() {
    acceptor_.async_accept([this](NetError problem, typename Protocol::socket socket) {
      if (problem == net::error::operation_aborted) return;
      if (problem) {
        pause_.expires_after(kAcceptPause);
        pause_.async_wait([this](NetError stopped) {
          if (!stopped) accept();
        });
        return;
      }
      close_on_exec(socket.native_handle());
      if (*count_ < kConnectionsMax) {
        std::make_shared<Session<Protocol>>(std::move(socket), site_, count_)->read();
      }
      accept();
    });
  }

  std::string address() const override { return address_; }
  void stop() override {
    NetError ignored;
    acceptor_.close(ignored);
    pause_.cancel();
    if (!socket_path_.empty()) ::unlink(socket_path_.c_str());
    socket_path_.clear();
  }

 private:
  typename Protocol::acceptor acceptor_;
  net::steady_timer pause_;
  const Site site_;
  ConnectionCount count_ = std::make_shared<std::size_t>(0);
  std::string address_;
  std::string socket_path_;
};

tl::unexpected<Error> cannot_listen(const std::string& address, const NetError& problem) {
  return fail(ErrorCode::invalid, "admin address " + address + ": cannot listen: " + problem.message() +
                                      "; is another daemon using it? gateway.admin names another one, \"\" is off");
}

Result<std::unique_ptr<AdminServer>> listen_unix(EventLoop& loop, const std::string& path, AdminHandler handler) {
  struct stat status {};
  // What a killed daemon left behind; the lock of the data directory keeps two daemons apart.
  if (::lstat(path.c_str(), &status) == 0 && S_ISSOCK(status.st_mode)) ::unlink(path.c_str());
  auto listener = std::make_unique<Listener<net::local::stream_protocol>>(loop, Site{"", std::move(handler)});
  if (const NetError problem = listener->listen(net::local::stream_protocol::endpoint(path))) {
    return cannot_listen("unix:" + path, problem);
  }
  ::chmod(path.c_str(), 0660);
  listener->set_address("unix:" + path, path);
  listener->accept();
  return listener;
}

Result<std::unique_ptr<AdminServer>> listen_tcp(EventLoop& loop, AdminAddress address, AdminHandler handler) {
  net::ip::tcp::resolver resolver(loop.context());
  NetError problem;
  const auto found = resolver.resolve(address.host, std::to_string(address.port), problem);
  if (problem) return cannot_listen(format_admin_address(address), problem);
  auto listener = std::make_unique<Listener<net::ip::tcp>>(loop, Site{address.host, std::move(handler)});
  const net::ip::tcp::endpoint endpoint = found.begin()->endpoint();
  if ((problem = listener->listen(endpoint))) return cannot_listen(format_admin_address(address), problem);
  address.port = listener->endpoint().port();
  listener->set_address(format_admin_address(address), "");
  listener->accept();
  return listener;
}

}  // namespace

AdminResponse refuse(unsigned status, std::string_view why) {
  AdminResponse response;
  response.status = status;
  JsonWriter(response.body).begin_object().member("error", why).end_object();
  return response;
}

Result<std::unique_ptr<AdminServer>> start_admin_server(EventLoop& loop, const AdminAddress& address,
                                                        AdminHandler handler) {
  if (address.kind == AdminAddress::Kind::unix_socket) return listen_unix(loop, address.path, std::move(handler));
  return listen_tcp(loop, address, std::move(handler));
}

}  // namespace tidegate::daemon
