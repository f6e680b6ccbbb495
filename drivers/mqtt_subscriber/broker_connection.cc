#include "drivers/mqtt_subscriber/broker_connection.h"

#include <boost/asio/io_context.hpp>

#include "core/free_room.h"

namespace tidegate::drivers {
namespace {

// So that one busy connection does not keep the others waiting.
constexpr int kReadsPerTurn = 4;
// TLS answers by itself, also whom the socket takes nothing for: who does not read is not read from.
constexpr std::size_t kUnsentMax = std::size_t{1024} * 1024;
// Between our goodbye and the broker's.
constexpr Duration kLeavePatience = std::chrono::seconds(2);

}  // namespace

BrokerConnection::BrokerConnection(const BrokerContext& context, std::unique_ptr<SubscriberSession> session,
                                   std::optional<mqtt::TlsChannel> tls)
    : context_(context), session_(std::move(session)), socket_(*context.loop, std::move(tls)) {}

void BrokerConnection::open(std::vector<boost::asio::ip::tcp::endpoint> addresses, Duration patience) {
  socket_.open(weak_from_this(), std::move(addresses), patience);
}

void BrokerConnection::on_open() {
  flush();
  socket_.wait_for_input();
}

bool BrokerConnection::may_read() const {
  return socket_.is_open() && !reading_stopped_ && socket_.unsent() < kUnsentMax && session_->wants_input() &&
         context_.inbox->wants_messages();
}

void BrokerConnection::on_input() {
  if (leave_at_most_until_) return drop_input();
  for (int i = 0; i < kReadsPerTurn && may_read(); ++i) {
    const mqtt::BrokerSocket::Input input = socket_.read(*context_.read_buffer);
    if (!input.plain.empty()) work_through(input.plain);
    if (input.is_end) return lose();
    if (session_->is_over() || !input.is_more) break;
  }
  flush();
  if (may_read()) socket_.wait_for_input();
  if (!closed_) context_.changed();
}

// It is not acknowledged, so the broker has it still.
void BrokerConnection::drop_input() {
  for (int i = 0; i < kReadsPerTurn; ++i) {
    const mqtt::BrokerSocket::Input input = socket_.read(*context_.read_buffer);
    if (input.is_end) return lose();  // the end, at best
    if (!input.is_more) break;
  }
  socket_.wait_for_input();
}

// What leaves at once may make room for packets that are held already: no byte that is still to come would bring these
// up again.
void BrokerConnection::work_through(std::string_view plain) {
  std::size_t used = receive(plain);
  while (used > 0 && !held_.empty() && may_read()) used = receive({});
  if (held_.empty() && held_.capacity() > 4096) free_room(held_);
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
  if (!socket_.is_open() || leave_at_most_until_) return;
  session_->release(context_.inbox->safe());
  flush();
  if (!socket_.waits_for_input() && may_read()) session_->read_again(context_.clock->boot_now());
  if (!held_.empty() && may_read()) work_through({});
  if (may_read()) socket_.wait_for_input();
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
  socket_.wait_for_input();
}

BootTime BrokerConnection::deadline() const {
  return leave_at_most_until_ ? *leave_at_most_until_ : session_->deadline();
}

// While the socket takes nothing, answers stay with the session, which then takes no more from the broker.
void BrokerConnection::flush() {
  if (!socket_.is_open() || socket_.waits_for_room() || has_left_) return;
  if (socket_.is_ready() && !socket_.put(session_->out())) return lose();
  write_more();
}

void BrokerConnection::on_room() {
  write_more();
  resume();
}

void BrokerConnection::write_more() {
  if (!socket_.write()) return lose();
  if (socket_.unsent() == 0) end_when_sent();
}

void BrokerConnection::end_when_sent() {
  if (closed_ || !session_->is_over() || has_left_) return;
  if (!session_->out().empty() && socket_.is_ready()) return flush();
  socket_.end_output();
  if (!leave_at_most_until_) return lose();
  has_left_ = true;
}

void BrokerConnection::lose() {
  if (closed_) return;
  close();
  context_.changed();
}

void BrokerConnection::close() {
  if (std::exchange(closed_, true)) return;
  held_.clear();
  socket_.close();
}

}  // namespace tidegate::drivers
