#include "daemon/admin/admin_server.h"

#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <type_traits>
#include <utility>

// <utility> stands before Asio: Boost 1.74 uses std::exchange without it.
#include <boost/asio/generic/stream_protocol.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/local/stream_protocol.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/beast/core/basic_stream.hpp>

#include "core/clock.h"
#include "core/descriptor.h"
#include "core/log.h"
#include "daemon/admin/address_limits.h"
#include "daemon/admin/admin_connection.h"
#include "daemon/admin/admin_crowd.h"
#include "daemon/admin/tls_stream.h"
#include "daemon/admin/watched_certificate.h"
#include "daemon/config/admin_address.h"
#include "daemon/json_writer.h"

namespace tidegate::daemon {
namespace {

namespace net = boost::asio;
namespace beast = boost::beast;
using NetError = boost::system::error_code;

constexpr std::size_t kConnectionsMax = 64;
constexpr std::size_t kStrangersMax = 32;  // of these, where others than this machine may come
// Each costs a signature on the core thread. As many of one address at once as may be at it, so that who has a right to
// be let in is not turned away for a burst.
constexpr AddressLimits::Rate kHandshakes{32, std::chrono::milliseconds(125)};
constexpr AddressLimits::Rate kHandshakesOfAll{64, std::chrono::microseconds(31'250)};
// A script that asks often and keeps no connection.
constexpr AddressLimits::Rate kHandshakesOfWelcome = kHandshakesOfAll;
constexpr auto kAcceptPause = std::chrono::milliseconds(500);  // after accept() failed, as for want of descriptors

// Of IPv6 everybody has 64 bits to himself.
std::string network_of(const net::ip::tcp::endpoint& peer) {
  const net::ip::address address = peer.address();
  if (address.is_v4()) return address.to_string();
  net::ip::address_v6 six = address.to_v6();
  if (six.is_v4_mapped()) return net::ip::make_address_v4(net::ip::v4_mapped, six).to_string();
  constexpr std::size_t kNetworkBytes = 8;
  auto bytes = six.to_bytes();
  std::fill(bytes.begin() + kNetworkBytes, bytes.end(), static_cast<unsigned char>(0));
  return net::ip::address_v6(bytes).to_string() + "/64";
}
std::string network_of(const net::local::stream_protocol::endpoint& /*peer*/) { return ""; }

template <class Protocol>
class Listener final : public AdminServer {
 public:
  // Of either kind: what is done with one is a third of a megabyte of code.
  using Plain = beast::basic_stream<net::generic::stream_protocol>;
  using Socket = net::generic::stream_protocol::socket;

  Listener(EventLoop& loop, AdminSite site, std::unique_ptr<WatchedCertificate> certificate)
      : acceptor_(loop.context()),
        pause_(loop.context()),
        site_(std::move(site)),
        certificate_(std::move(certificate)),
        crowd_(std::make_shared<AdminCrowd>(kConnectionsMax, certificate_ ? kStrangersMax : kConnectionsMax)) {
    site_.is_tls = certificate_ != nullptr;
    site_.tell_failure = [this](const std::string& peer, const std::string& why) { tell_failure(peer, why); };
    site_.welcome = [this](const std::string& peer) { handshakes_.welcome(peer, clock_.boot_now()); };
  }
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
      if (problem) return accept_after(kAcceptPause);
      close_on_exec(socket.native_handle());
      serve(std::move(socket));
      accept();
    });
  }

  std::string address() const override { return address_; }
  void read_files_anew() override {
    if (certificate_) certificate_->read_anew(clock_.boot_now());
  }
  void stop() override {
    NetError ignored;
    acceptor_.close(ignored);
    pause_.cancel();
    if (!socket_path_.empty()) ::unlink(socket_path_.c_str());
    socket_path_.clear();
  }

 private:
  void accept_after(Duration pause) {
    pause_.expires_after(pause);
    pause_.async_wait([this](NetError stopped) {
      if (!stopped) accept();
    });
  }

  void serve(typename Protocol::socket socket) {
    NetError gone;
    const auto peer = socket.remote_endpoint(gone);
    if (gone) return;
    if constexpr (std::is_same_v<Protocol, net::ip::tcp>) {
      if (certificate_) return serve_tls(Plain(Socket(std::move(socket))), network_of(peer));
    }
    std::make_shared<AdminConnection<Plain>>(Plain(Socket(std::move(socket))), network_of(peer), site_, crowd_)
        ->start();
  }

  void serve_tls(Plain stream, std::string peer) {
    using Secure = TlsStream<Plain>;
    Secure secure(std::move(stream), [this, peer] { return begin_handshake(peer); });
    std::make_shared<AdminConnection<Secure>>(std::move(secure), std::move(peer), site_, crowd_)->start();
  }

  Result<mqtt::TlsChannel> begin_handshake(const std::string& peer) {
    const BootTime now = clock_.boot_now();
    if (const auto wait = handshakes_.wait(peer, now)) {
      return fail(ErrorCode::retry, wait->is_for_all ? "too many handshakes with many addresses at once"
                                                     : "too many handshakes with that address at once");
    }
    handshakes_.take(peer, now);
    return certificate_->accept(now);
  }

  void tell_failure(const std::string& peer, const std::string& why) {
    site_.refusals.add(AdminRefusal::no_tls);
    const auto left_out = complaints_.admit("tls", clock_.boot_now());
    if (left_out) log_info("gateway", "admin address: no TLS with {}: {}{}", peer, why, since_last_line(*left_out));
  }

  typename Protocol::acceptor acceptor_;
  net::steady_timer pause_;
  AdminSite site_;
  const SystemClock clock_;
  AddressLimits handshakes_{kHandshakes, kHandshakesOfAll, kHandshakesOfWelcome};
  ComplaintFilter complaints_;
  const std::unique_ptr<WatchedCertificate> certificate_;  // null: no TLS
  const std::shared_ptr<AdminCrowd> crowd_;
  std::string address_;
  std::string socket_path_;
};

tl::unexpected<Error> cannot_listen(const std::string& address, const NetError& problem) {
  return fail(ErrorCode::invalid, "admin address " + address + ": cannot listen: " + problem.message() +
                                      "; is another daemon using it? gateway.admin names another one, \"\" is off");
}

bool somebody_listens(EventLoop& loop, const std::string& path) {
  net::local::stream_protocol::socket probe(loop.context());
  NetError problem;
  probe.open({}, problem);
  probe.non_blocking(true, problem);  // where its queue is full, connect() would wait for ever
  probe.connect(net::local::stream_protocol::endpoint(path), problem);
  return !problem || problem == net::error::would_block || problem == net::error::try_again;
}

Result<std::unique_ptr<AdminServer>> listen_unix(EventLoop& loop, const std::string& path, AdminServerParts parts) {
  // Daemons with data directories of their own may have been given the same path.
  if (somebody_listens(loop, path)) return cannot_listen("unix:" + path, net::error::address_in_use);
  struct stat status {};
  // What a killed daemon left behind.
  if (::lstat(path.c_str(), &status) == 0 && S_ISSOCK(status.st_mode)) ::unlink(path.c_str());
  auto listener = std::make_unique<Listener<net::local::stream_protocol>>(
      loop, AdminSite{"", std::move(parts.handler), parts.refusals}, nullptr);
  if (const NetError problem = listener->listen(net::local::stream_protocol::endpoint(path))) {
    return cannot_listen("unix:" + path, problem);
  }
  ::chmod(path.c_str(), 0660);
  listener->set_address("unix:" + path, path);
  listener->accept();
  return listener;
}

Result<std::unique_ptr<AdminServer>> listen_tcp(EventLoop& loop, AdminAddress address, AdminServerParts parts) {
  std::unique_ptr<WatchedCertificate> certificate;
  if (!parts.tls.certificate.empty()) {
    auto made = WatchedCertificate::make(parts.tls);
    if (!made) return fail(made.error().code, "gateway.admin_tls: " + made.error().message);
    certificate = std::move(*made);
  }
  net::ip::tcp::resolver resolver(loop.context());
  NetError problem;
  const auto found = resolver.resolve(address.host, std::to_string(address.port), problem);
  if (problem) return cannot_listen(format_admin_address(address), problem);
  auto listener = std::make_unique<Listener<net::ip::tcp>>(
      loop, AdminSite{address.host, std::move(parts.handler), parts.refusals}, std::move(certificate));
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
                                                        AdminServerParts parts) {
  if (address.kind == AdminAddress::Kind::unix_socket) return listen_unix(loop, address.path, std::move(parts));
  return listen_tcp(loop, address, std::move(parts));
}

}  // namespace tidegate::daemon
