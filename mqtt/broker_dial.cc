#include "mqtt/broker_dial.h"

#include <netinet/tcp.h>

#include <algorithm>
#include <memory>
#include <string>

#include <boost/asio/steady_timer.hpp>

#include "core/descriptor.h"

namespace tidegate::mqtt {
namespace {

namespace asio = boost::asio;
using boost::system::error_code;
using tcp = asio::ip::tcp;
using Then = std::function<void(const Result<void>& connected)>;
// What the kernel holds back before it has sent it; a sign of life stands behind that.
using UnsentMost = asio::detail::socket_option::integer<IPPROTO_TCP, TCP_NOTSENT_LOWAT>;

constexpr int kUnsentBytesMost = 128 * 1024;

class Dial : public std::enable_shared_from_this<Dial> {
 public:
  Dial(tcp::socket& socket, std::vector<tcp::endpoint> addresses, Duration patience, Then then)
      : socket_(socket),
        timer_(socket.get_executor()),
        addresses_(std::move(addresses)),
        share_(patience / static_cast<std::int64_t>(std::max<std::size_t>(addresses_.size(), 1))),
        then_(std::move(then)) {}

  void try_next(const std::string& problem);

 private:
  error_code open(const tcp::endpoint& address);
  void wait_at_most_a_share();
  void take(const error_code& failed);
  error_code set_up();

  tcp::socket& socket_;
  asio::steady_timer timer_;
  const std::vector<tcp::endpoint> addresses_;
  const Duration share_;
  Then then_;  // empty when it was told, or is not to be
  std::size_t next_ = 0;
};

void Dial::try_next(const std::string& problem) {
  if (next_ >= addresses_.size()) return std::exchange(then_, nullptr)(fail(ErrorCode::link_down, problem));
  const tcp::endpoint& address = addresses_[next_++];
  if (const error_code failed = open(address)) return try_next(failed.message());
  if (next_ < addresses_.size()) wait_at_most_a_share();
  socket_.async_connect(address, [self = shared_from_this()](const error_code& failed) { self->take(failed); });
}

error_code Dial::open(const tcp::endpoint& address) {
  error_code problem;
  socket_.close(problem);
  socket_.open(address.protocol(), problem);
  if (!problem) close_on_exec(socket_.native_handle());
  return problem;
}

void Dial::wait_at_most_a_share() {
  timer_.expires_after(share_);
  timer_.async_wait([self = shared_from_this(), number = next_](const error_code& cancelled) {
    error_code ignored;
    const bool is_late = !cancelled && self->then_ && self->next_ == number && self->socket_.is_open();
    if (is_late) self->socket_.cancel(ignored);
  });
}

void Dial::take(const error_code& failed) {
  timer_.cancel();
  if (!socket_.is_open()) {  // whoever it is for has closed it
    then_ = nullptr;
    return;
  }
  if (failed == asio::error::operation_aborted) return try_next(error_code(asio::error::timed_out).message());
  const error_code problem = failed ? failed : set_up();
  if (problem) return try_next(problem.message());
  std::exchange(then_, nullptr)({});
}

// Without Nagle's algorithm: a small batch would wait for the broker's TCP to acknowledge the one before. A connection
// works without any of the options, but not where it blocks.
error_code Dial::set_up() {
  error_code ignored;
  socket_.set_option(tcp::no_delay(true), ignored);
  socket_.set_option(tcp::socket::keep_alive(true), ignored);
  socket_.set_option(UnsentMost(kUnsentBytesMost), ignored);
  error_code problem;
  socket_.non_blocking(true, problem);
  return problem;
}

}  // namespace

void dial(tcp::socket& socket, std::vector<tcp::endpoint> addresses, Duration patience, Then then) {
  std::make_shared<Dial>(socket, std::move(addresses), patience, std::move(then))->try_next("there is no address");
}

}  // namespace tidegate::mqtt
