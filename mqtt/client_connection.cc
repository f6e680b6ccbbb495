#include "mqtt/client_connection.h"

#include <algorithm>
#include <array>

#include <boost/asio/post.hpp>

#include "mqtt/client_thread.h"

namespace tidegate::mqtt {
namespace {

namespace asio = boost::asio;
using boost::system::error_code;
using ReadBuffer = std::array<char, std::size_t{64} * 1024>;

// So that one busy connection does not keep the others waiting.
constexpr int kReadsPerTurn = 4;
constexpr int kReadsAtEnd = 64;
// Who does not read our answers is not read from.
constexpr std::size_t kUnsentMax = std::size_t{1024} * 1024;
constexpr Duration kTickLeast = std::chrono::milliseconds(10);
// How often it is looked whether there is room for a message again: it costs little, and is seldom needed.
constexpr Duration kResumeFirst = std::chrono::milliseconds(1);
constexpr Duration kResumeMost = std::chrono::milliseconds(20);

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
      socket_(ClientThread::instance().loop(), std::move(tls)),
      timer_(ClientThread::instance().loop()),
      resume_timer_(ClientThread::instance().loop()) {}

void ClientConnection::open(std::vector<boost::asio::ip::tcp::endpoint> addresses) {
  arm();
  socket_.open(weak_from_this(), std::move(addresses), broker_.connect_timeout);
}

void ClientConnection::wait_for_input() {
  if (socket_.unsent() + protocol_.unsent_bytes() < kUnsentMax) socket_.wait_for_input();
}

void ClientConnection::on_input() {
  for (int i = 0; i < kReadsPerTurn && !closed_ && !protocol_.is_parked(); ++i) {
    const BrokerSocket::Input input = socket_.read(read_buffer());
    protocol_.receive(input.plain, clock_.boot_now());
    if (input.is_end && !protocol_.end()) return end(why_ended());
    if (!input.is_more) break;
  }
  go_on();
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
  asio::post(ClientThread::instance().loop(), [self = shared_from_this()] {
    self->flush_waits_ = false;
    self->go_on();
  });
}

void ClientConnection::flush() {
  while (socket_.is_open() && !socket_.waits_for_room()) {
    if (socket_.unsent() == 0) {
      if (!socket_.is_ready()) return;
      if (!socket_.put(protocol_.out())) return end_unwritable();
      if (socket_.unsent() == 0) return;
    }
    if (!socket_.write()) return end_unwritable();
    if (socket_.unsent() == 0) protocol_.sent(clock_.boot_now());
  }
}

// That a write fails says nothing of why. What the broker has sent before can be read still: it may say that, and what
// it has acknowledged.
void ClientConnection::end_unwritable() {
  for (int i = 0; i < kReadsAtEnd && !closed_ && !protocol_.is_parked(); ++i) {
    const BrokerSocket::Input input = socket_.read(read_buffer());
    protocol_.receive(input.plain, clock_.boot_now());
    if (!input.is_more) break;
  }
  end(protocol_.end() ? protocol_.end() : why_ended());
}

void ClientConnection::arm() {
  const BootTime deadline = protocol_.deadline();
  if (armed_for_ && *armed_for_ <= deadline) return;
  armed_for_ = deadline;
  timer_.expires_after(std::max<Duration>(deadline - clock_.boot_now(), kTickLeast));
  timer_.async_wait([self = shared_from_this()](const error_code& cancelled) {
    if (cancelled || self->closed_) return;
    self->armed_for_.reset();
    self->protocol_.tick(self->clock_.boot_now(), self->socket_.taken_so_far());
    self->go_on();
  });
}

// Closing with something unread would reset the connection, and what is on its way to the broker with it.
void ClientConnection::close() {
  if (std::exchange(closed_, true)) return;
  if (socket_.is_ready() && socket_.unsent() == 0 && protocol_.say_goodbye()) {
    if (socket_.put(protocol_.out())) (void)socket_.write();
    socket_.end_output();
    for (int i = 0; i < kReadsPerTurn && socket_.read(read_buffer()).is_more; ++i) continue;
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
  socket_.close();
}

// Where it was lost, it was lost, whatever the kernel calls it.
std::optional<LinkState> ClientConnection::why_ended() const {
  if (protocol_.is_connected()) return std::nullopt;
  return explain(socket_.failure(), broker_);
}

}  // namespace tidegate::mqtt
