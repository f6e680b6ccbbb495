#include "mqtt/client_connection.h"

#include <linux/sockios.h>
#include <sys/ioctl.h>

#include <algorithm>
#include <array>

#include <boost/asio/buffer.hpp>
#include <boost/asio/post.hpp>

#include "mqtt/broker_dial.h"
#include "mqtt/client_thread.h"

namespace tidegate::mqtt {
namespace {

namespace asio = boost::asio;
using boost::system::error_code;
using tcp = asio::ip::tcp;

using ReadBuffer = std::array<char, std::size_t{64} * 1024>;

// So that one busy connection does not keep the others waiting.
constexpr int kReadsPerTurn = 4;
// Who does not read our answers is not read from.
constexpr std::size_t kUnsentMax = std::size_t{1024} * 1024;
constexpr std::size_t kIdleBytesMost = std::size_t{16} * 1024;
constexpr Duration kTickLeast = std::chrono::milliseconds(10);
// How often it is looked whether there is room for a message again: it costs little, and is seldom needed.
constexpr Duration kResumeFirst = std::chrono::milliseconds(1);
constexpr Duration kResumeMost = std::chrono::milliseconds(20);

bool is_not_now(const error_code& problem) {
  return problem == asio::error::would_block || problem == asio::error::try_again;
}

// Of the clients' thread; nothing stays in it between two events.
ReadBuffer& read_buffer() {
  static ReadBuffer buffer;
  return buffer;
}

}  // namespace

ClientConnection::ClientConnection(const BrokerOptions& broker, const std::vector<Subscription>& subscriptions,
                                   ConnectionEvents& events, const std::optional<ConnectionWill>& will,
                                   std::optional<TlsChannel> tls)
    : broker_(broker),
      events_(events),
      protocol_(broker, subscriptions, events, will, clock_.boot_now()),
      tls_(std::move(tls)),
      socket_(ClientThread::instance().loop()),
      timer_(ClientThread::instance().loop()),
      resume_timer_(ClientThread::instance().loop()) {}

void ClientConnection::open(std::vector<tcp::endpoint> addresses) {
  arm();
  dial(socket_, std::move(addresses), broker_.connect_timeout,
       [self = shared_from_this()](const Result<void>& connected) {
         if (self->closed_) return;
         if (!connected) return self->end(self->why_ended(ConnectFailure{0, connected.error().message, {}}));
         self->begin();
       });
}

void ClientConnection::begin() {
  is_open_ = true;
  if (tls_) {
    std::string none;
    (void)tls_->receive({}, none, sending_);  // the first of the handshake; nothing can be wrong with it yet
  }
  go_on();
}

void ClientConnection::wait_for_input() {
  if (!is_open_ || waits_for_input_ || protocol_.is_parked() ||
      sending_.size() - sent_ + protocol_.unsent_bytes() >= kUnsentMax)
    return;
  waits_for_input_ = true;
  socket_.async_wait(tcp::socket::wait_read, [self = shared_from_this()](const error_code& failed) {
    self->waits_for_input_ = false;
    if (!failed && !self->closed_) self->read();
  });
}

void ClientConnection::read() {
  ReadBuffer& buffer = read_buffer();
  for (int i = 0; i < kReadsPerTurn && !closed_ && !protocol_.is_parked(); ++i) {
    error_code problem;
    const std::size_t count = socket_.read_some(asio::buffer(buffer), problem);
    if (is_not_now(problem)) break;
    if (problem) return end(why_ended(problem));
    take({buffer.data(), count});
    if (count < buffer.size()) break;
  }
  go_on();
}

void ClientConnection::take(std::string_view input) {
  const BootTime now = clock_.boot_now();
  if (!tls_) return protocol_.receive(input, now);
  std::string plain;
  const auto received = tls_->receive(input, plain, sending_);
  protocol_.receive(plain, now);
  if (received || closed_ || protocol_.end()) return;
  error_code ignored;
  socket_.write_some(asio::buffer(sending_) + sent_, ignored);  // what is wrong, in the words of TLS
  end(why_ended(failure_of_tls(*tls_, received.error().message)));
}

// What came may have to be answered, may be the end, or may make room for more.
void ClientConnection::go_on() {
  if (closed_) return;
  flush();
  if (closed_) return;
  if (const auto why = protocol_.end()) return end(why);
  arm();
  if (protocol_.is_parked()) return resume_later();
  wait_for_input();
}

void ClientConnection::resume_later() {
  if (std::exchange(resume_waits_, true)) return;
  resume_pause_ = std::clamp(resume_pause_ * 2, kResumeFirst, kResumeMost);
  resume_timer_.expires_after(resume_pause_);
  resume_timer_.async_wait([self = shared_from_this()](const error_code& cancelled) {
    self->resume_waits_ = false;
    if (cancelled || self->closed_) return;
    if (self->protocol_.resume(self->clock_.boot_now())) self->resume_pause_ = {};
    self->go_on();
  });
}

void ClientConnection::publish(std::optional<InFlight::Number> number, Publication publication) {
  protocol_.publish(number, std::move(publication));
  if (std::exchange(flush_waits_, true)) return;  // those that are published together leave together
  asio::post(socket_.get_executor(), [self = shared_from_this()] {
    self->flush_waits_ = false;
    self->go_on();
  });
}

void ClientConnection::flush() {
  while (is_open_ && !closed_ && !waits_for_output_) {
    if (sent_ == sending_.size() && !fetch_output()) return;
    error_code problem;
    const std::size_t count = socket_.write_some(asio::buffer(sending_) + sent_, problem);
    sent_ += count;
    given_to_kernel_ += count;
    if (is_not_now(problem)) return wait_for_output();
    if (problem) return end(why_ended(problem));
    if (sent_ == sending_.size()) protocol_.sent(clock_.boot_now());
  }
}

// False when there is nothing to be sent.
bool ClientConnection::fetch_output() {
  sending_.clear();
  sent_ = 0;
  if (tls_ && !tls_->is_ready()) return false;
  std::string& out = protocol_.out();
  if (out.empty()) {
    for (std::string* idle : {&sending_, &out}) {
      if (idle->capacity() > kIdleBytesMost) *idle = std::string();
    }
    return false;
  }
  if (!tls_) {
    std::swap(sending_, out);
    return true;
  }
  const auto encrypted = tls_->send(out, sending_);
  out.clear();
  if (!encrypted) end(why_ended(failure_of_tls(*tls_, encrypted.error().message)));
  return encrypted.has_value();
}

void ClientConnection::wait_for_output() {
  waits_for_output_ = true;
  socket_.async_wait(tcp::socket::wait_write, [self = shared_from_this()](const error_code& failed) {
    self->waits_for_output_ = false;
    if (!failed) self->go_on();
  });
}

// Nothing when all is sent; else how much the broker's side of the network has acknowledged so far.
std::optional<std::uint64_t> ClientConnection::taken_of_unsent() {
  if (sent_ == sending_.size()) return std::nullopt;
  int unacknowledged = 0;
  if (::ioctl(socket_.native_handle(), SIOCOUTQ, &unacknowledged) != 0) unacknowledged = 0;
  return given_to_kernel_ - static_cast<std::uint64_t>(std::max(unacknowledged, 0));
}

void ClientConnection::arm() {
  const BootTime deadline = protocol_.deadline();
  if (armed_for_ && *armed_for_ <= deadline) return;
  armed_for_ = deadline;
  timer_.expires_after(std::max<Duration>(deadline - clock_.boot_now(), kTickLeast));
  timer_.async_wait([self = shared_from_this()](const error_code& cancelled) {
    if (cancelled || self->closed_) return;
    self->armed_for_.reset();
    self->protocol_.tick(self->clock_.boot_now(), self->taken_of_unsent());
    self->go_on();
  });
}

// Closing with something unread would reset the connection, and what is on its way to the broker with it.
void ClientConnection::close() {
  if (std::exchange(closed_, true)) return;
  const bool can_say = is_open_ && sent_ == sending_.size() && (!tls_ || tls_->is_ready());
  if (can_say && protocol_.say_goodbye()) {
    error_code problem;
    std::string goodbye = protocol_.out();
    if (tls_) {
      goodbye.clear();
      (void)tls_->send(protocol_.out(), goodbye);
      tls_->close(goodbye);
    }
    socket_.write_some(asio::buffer(goodbye), problem);
    socket_.shutdown(tcp::socket::shutdown_send, problem);
    for (int i = 0; i < kReadsPerTurn && !problem; ++i) socket_.read_some(asio::buffer(read_buffer()), problem);
  }
  end_socket();
}

void ClientConnection::end(std::optional<LinkState> why) {
  const auto self = shared_from_this();
  if (std::exchange(closed_, true)) return;
  end_socket();
  if (protocol_.is_connected()) return events_.on_lost(std::move(why));
  events_.on_connect_failed(why.value_or(LinkState{}));
}

void ClientConnection::end_socket() {
  timer_.cancel();
  resume_timer_.cancel();
  error_code ignored;
  socket_.close(ignored);
}

std::optional<LinkState> ClientConnection::why_ended(const error_code& problem) const {
  ConnectFailure failure;
  failure.is_end = problem == asio::error::eof;
  if (!failure.is_end) failure.message = problem.message();
  failure.is_after_tls = tls_ && tls_->is_ready();
  return why_ended(failure);
}

// Where it was lost, it was lost, whatever the kernel calls it.
std::optional<LinkState> ClientConnection::why_ended(const ConnectFailure& failure) const {
  if (protocol_.is_connected()) return std::nullopt;
  return explain(failure, broker_);
}

}  // namespace tidegate::mqtt
