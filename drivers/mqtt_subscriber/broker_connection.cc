#include "drivers/mqtt_subscriber/broker_connection.h"

#include <boost/asio/buffer.hpp>
#include <boost/asio/io_context.hpp>

#include "mqtt/broker_dial.h"

namespace tidegate::drivers {
namespace {

namespace asio = boost::asio;
using boost::system::error_code;
using tcp = asio::ip::tcp;

// So that one busy connection does not keep the others waiting.
constexpr int kReadsPerTurn = 4;
// TLS answers by itself, also whom the socket takes nothing for: who does not read is not read from.
constexpr std::size_t kUnsentMax = std::size_t{1024} * 1024;
// Between our goodbye and the broker's.
constexpr Duration kLeavePatience = std::chrono::seconds(2);

}  // namespace

BrokerConnection::BrokerConnection(const BrokerContext& context, std::unique_ptr<SubscriberSession> session,
                                   std::optional<mqtt::TlsChannel> tls)
    : context_(context), session_(std::move(session)), tls_(std::move(tls)), socket_(*context.loop) {}

void BrokerConnection::open(std::vector<tcp::endpoint> addresses, Duration patience) {
  mqtt::dial(socket_, std::move(addresses), patience, [self = shared_from_this()](const Result<void>& connected) {
    if (self->closed_) return;
    if (connected) return self->begin();
    self->failure_.message = connected.error().message;
    self->lose();
  });
}

void BrokerConnection::begin() {
  is_open_ = true;
  if (tls_) {
    std::string none;
    (void)tls_->receive({}, none, sending_);  // the first of the handshake; nothing can be wrong with it yet
  }
  flush();
  wait_for_input();
}

void BrokerConnection::wait_for_input() {
  if (closed_ || waits_for_input_) return;
  waits_for_input_ = true;
  socket_.async_wait(tcp::socket::wait_read, [self = shared_from_this()](const error_code& failed) {
    self->waits_for_input_ = false;
    if (failed || self->closed_) return;
    self->read();
  });
}

bool BrokerConnection::may_read() const {
  return is_open_ && !closed_ && !reading_stopped_ && sending_.size() < kUnsentMax && session_->wants_input() &&
         context_.inbox->wants_messages();
}

void BrokerConnection::read() {
  if (leave_at_most_until_) return drop_input();
  std::string& buffer = *context_.read_buffer;
  for (int i = 0; i < kReadsPerTurn && may_read(); ++i) {
    error_code problem;
    const std::size_t count = socket_.read_some(asio::buffer(buffer), problem);
    if (problem == asio::error::would_block || problem == asio::error::try_again) break;
    if (problem) return lose(problem);
    if (!take(std::string_view(buffer).substr(0, count))) break;
    if (count < buffer.size()) break;
  }
  flush();
  if (may_read()) wait_for_input();
  if (!closed_) context_.changed();
}

// It is not acknowledged, so the broker has it still.
void BrokerConnection::drop_input() {
  std::string& buffer = *context_.read_buffer;
  for (int i = 0; i < kReadsPerTurn; ++i) {
    error_code problem;
    socket_.read_some(asio::buffer(buffer), problem);
    if (problem == asio::error::would_block || problem == asio::error::try_again) break;
    if (problem) return lose();  // the end, at best
  }
  wait_for_input();
}

// False when the connection is to end.
bool BrokerConnection::take(std::string_view input) {
  if (!tls_) {
    work_through(input);
    return !session_->is_over();
  }
  std::string plain;
  const auto received = tls_->receive(input, plain, sending_);
  if (!plain.empty()) work_through(plain);
  if (received) return !session_->is_over();
  failure_ = mqtt::failure_of_tls(*tls_, received.error().message);
  write_more();  // what is wrong, in the words of TLS
  lose();
  return false;
}

// What leaves at once may make room for packets that are held already: no byte that is still to come would bring these
// up again.
void BrokerConnection::work_through(std::string_view plain) {
  std::size_t used = receive(plain);
  while (used > 0 && !held_.empty() && may_read()) used = receive({});
  if (held_.empty() && held_.capacity() > 4096) held_ = std::string();
}

// Returns how much the session has taken of what was held and of `plain`.
std::size_t BrokerConnection::receive(std::string_view plain) {
  const BootTime now = context_.clock->boot_now();
  std::size_t used = 0;
  if (held_.empty()) {
    used = session_->receive(plain, now);
    held_.assign(plain.substr(used));
  } else {
    held_.append(plain);
    used = session_->receive(held_, now);
    held_.erase(0, used);
  }
  session_->release(context_.inbox->safe());
  flush();
  return used;
}

void BrokerConnection::resume() {
  const auto self = shared_from_this();
  if (closed_ || !is_open_ || leave_at_most_until_) return;
  session_->release(context_.inbox->safe());
  flush();
  if (!waits_for_input_ && may_read()) session_->read_again(context_.clock->boot_now());
  if (!held_.empty() && may_read()) work_through({});
  if (may_read()) wait_for_input();
  if (!closed_) context_.changed();
}

void BrokerConnection::tick(BootTime now) {
  const auto self = shared_from_this();
  if (closed_) return;
  if (leave_at_most_until_) {
    if (now >= *leave_at_most_until_) lose();
    return;
  }
  session_->tick(now, may_read());
  flush();
  if (session_->is_over()) lose();  // whoever takes nothing is not waited for with a goodbye
}

// Closing at once with something unread would reset the connection, and what is on its way to the broker with it. What
// it sends is taken out of the way from here on, so that it can come to reading our goodbye.
void BrokerConnection::say_goodbye() {
  const auto self = shared_from_this();
  if (closed_ || leave_at_most_until_) return;
  session_->release(context_.inbox->safe());
  if (session_->is_over() || !session_->connected_at()) return close();
  session_->say_goodbye();
  leave_at_most_until_ = context_.clock->boot_now() + kLeavePatience;
  flush();
  wait_for_input();
}

BootTime BrokerConnection::deadline() const {
  return leave_at_most_until_ ? *leave_at_most_until_ : session_->deadline();
}

// While the socket takes nothing, answers stay with the session, which then takes no more from the broker.
void BrokerConnection::flush() {
  if (closed_ || !is_open_ || waits_for_output_ || has_left_) return;
  std::string& out = session_->out();
  if (!out.empty() && !tls_) {
    sending_.append(out);
    out.clear();
  } else if (!out.empty() && tls_->is_ready()) {
    const auto sent = tls_->send(out, sending_);
    out.clear();
    if (!sent) {
      failure_ = mqtt::failure_of_tls(*tls_, sent.error().message);
      return lose();
    }
  }
  write_more();
}

void BrokerConnection::write_more() {
  while (!sending_.empty() && !closed_) {
    error_code problem;
    const std::size_t count = socket_.write_some(asio::buffer(sending_), problem);
    if (problem == asio::error::would_block || problem == asio::error::try_again) {
      waits_for_output_ = true;
      socket_.async_wait(tcp::socket::wait_write, [self = shared_from_this()](const error_code& failed) {
        self->waits_for_output_ = false;
        if (failed || self->closed_) return;
        self->write_more();
        self->resume();
      });
      return;
    }
    if (problem) return lose(problem);
    sending_.erase(0, count);
  }
  if (sending_.capacity() > 16 * 1024) sending_ = std::string();
  end_when_sent();
}

void BrokerConnection::end_when_sent() {
  if (closed_ || !session_->is_over() || has_left_) return;
  const bool can_say = !tls_ || tls_->is_ready();
  if (!session_->out().empty() && can_say) return flush();
  error_code ignored;
  if (tls_) {
    tls_->close(sending_);
    socket_.write_some(asio::buffer(sending_), ignored);  // a goodbye that does not fit is none
    sending_.clear();
  }
  if (!leave_at_most_until_) return lose();
  has_left_ = true;
  socket_.shutdown(tcp::socket::shutdown_send, ignored);
}

void BrokerConnection::lose(const error_code& problem) {
  if (closed_) return;
  failure_.is_end = problem == asio::error::eof;
  if (!failure_.is_end) failure_.message = problem.message();
  failure_.is_after_tls = tls_ && tls_->is_ready();
  lose();
}

void BrokerConnection::lose() {
  if (closed_) return;
  close();
  context_.changed();
}

void BrokerConnection::close() {
  if (std::exchange(closed_, true)) return;
  held_.clear();
  error_code ignored;
  socket_.shutdown(tcp::socket::shutdown_both, ignored);
  socket_.close(ignored);
}

}  // namespace tidegate::drivers
