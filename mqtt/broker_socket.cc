#include "mqtt/broker_socket.h"

#include <linux/sockios.h>
#include <sys/ioctl.h>

#include <algorithm>

#include <boost/asio/buffer.hpp>

#include "core/free_room.h"
#include "mqtt/broker_dial.h"

namespace tidegate::mqtt {
namespace {

namespace asio = boost::asio;
using boost::system::error_code;
using tcp = asio::ip::tcp;

constexpr std::size_t kIdleBytesMost = std::size_t{16} * 1024;

bool is_not_now(const error_code& problem) {
  return problem == asio::error::would_block || problem == asio::error::try_again;
}

void let_go(std::string& idle) {
  if (idle.capacity() > kIdleBytesMost) free_room(idle);
}

}  // namespace

BrokerSocket::BrokerSocket(asio::io_context& loop, std::optional<TlsChannel> tls)
    : tls_(std::move(tls)), socket_(loop) {}

// What waits on the loop keeps the owner, and this with it.
void BrokerSocket::open(std::weak_ptr<BrokerSocketOwner> owner, std::vector<tcp::endpoint> addresses,
                        Duration patience) {
  owner_ = std::move(owner);
  dial(socket_, std::move(addresses), patience, [this, kept = owner_.lock()](const Result<void>& connected) {
    if (is_closed_) return;
    if (!connected) failure_.message = connected.error().message;
    if (!connected) return kept->on_not_open();
    begin();
    kept->on_open();
  });
}

void BrokerSocket::begin() {
  is_open_ = true;
  if (tls_) (void)tls_->receive({}, plain_, sending_);  // the first of the handshake; nothing can be wrong with it yet
}

// With wait instead of read, an idle connection needs no buffer.
void BrokerSocket::wait_for_input() {
  free_room(plain_);
  if (!is_open_ || std::exchange(waits_for_input_, true)) return;
  socket_.async_wait(tcp::socket::wait_read, [this, kept = owner_.lock()](const error_code& failed) {
    waits_for_input_ = false;
    if (!failed && !is_closed_) kept->on_input();
  });
}

BrokerSocket::Input BrokerSocket::read(std::span<char> buffer) {
  error_code problem;
  const std::size_t count = socket_.read_some(asio::buffer(buffer.data(), buffer.size()), problem);
  if (is_not_now(problem)) return {};
  if (problem) {
    note(problem);
    return {{}, false, true};
  }
  const bool is_more = count == buffer.size();
  if (!tls_) return {{buffer.data(), count}, is_more, false};
  plain_.clear();
  const auto received = tls_->receive({buffer.data(), count}, plain_, sending_);
  if (received) return {plain_, is_more, false};
  failure_ = failure_of_tls(*tls_, received.error().message);
  write_last();  // what is wrong, in the words of TLS
  return {plain_, false, true};
}

bool BrokerSocket::put(std::string& out) {
  if (unsent() == 0) {
    sending_.clear();
    sent_ = 0;
  }
  if (out.empty()) {
    if (sending_.empty()) let_go(sending_);
    let_go(out);
    return true;
  }
  if (!tls_ && sending_.empty()) {
    std::swap(sending_, out);
    return true;
  }
  if (!tls_) {
    sending_.append(out);
    out.clear();
    return true;
  }
  const auto encrypted = tls_->send(out, sending_);
  out.clear();
  if (!encrypted) failure_ = failure_of_tls(*tls_, encrypted.error().message);
  return encrypted.has_value();
}

bool BrokerSocket::write() {
  while (is_open_ && unsent() > 0 && !waits_for_room_) {
    error_code problem;
    const std::size_t count = socket_.write_some(asio::buffer(sending_) + sent_, problem);
    sent_ += count;
    given_to_kernel_ += count;
    if (problem && !is_not_now(problem)) {
      note(problem);
      return false;
    }
    if (!problem) continue;
    waits_for_room_ = true;
    socket_.async_wait(tcp::socket::wait_write, [this, kept = owner_.lock()](const error_code& failed) {
      waits_for_room_ = false;
      if (!failed && !is_closed_) kept->on_room();
    });
  }
  return true;
}

std::optional<std::uint64_t> BrokerSocket::taken_so_far() {
  int unacknowledged = 0;
  if (::ioctl(socket_.native_handle(), SIOCOUTQ, &unacknowledged) != 0) unacknowledged = 0;
  if (unsent() == 0 && unacknowledged <= 0) return std::nullopt;
  return given_to_kernel_ - static_cast<std::uint64_t>(std::max(unacknowledged, 0));
}

// What does not fit is not said.
void BrokerSocket::end_output() {
  if (!is_open_) return;
  if (tls_) tls_->close(sending_);
  write_last();
  error_code ignored;
  socket_.shutdown(tcp::socket::shutdown_send, ignored);
}

void BrokerSocket::write_last() {
  error_code ignored;
  socket_.write_some(asio::buffer(sending_) + sent_, ignored);
  sending_.clear();
  sent_ = 0;
}

void BrokerSocket::close() {
  if (std::exchange(is_closed_, true)) return;
  is_open_ = false;
  error_code ignored;
  socket_.shutdown(tcp::socket::shutdown_both, ignored);
  socket_.close(ignored);
}

void BrokerSocket::note(const error_code& problem) {
  failure_.is_end = problem == asio::error::eof;
  if (!failure_.is_end) failure_.message = problem.message();
  failure_.is_after_tls = tls_ && tls_->is_ready();
}

}  // namespace tidegate::mqtt
