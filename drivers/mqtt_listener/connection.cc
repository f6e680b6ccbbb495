#include "drivers/mqtt_listener/connection.h"

#include <algorithm>
#include <span>

#include <boost/asio/buffer.hpp>

#include "core/free_room.h"
#include "core/log.h"
#include "core/text.h"

namespace tidegate::drivers {
namespace {

namespace asio = boost::asio;
using boost::system::error_code;

// So that one busy connection does not keep the others waiting.
constexpr int kReadsPerTurn = 4;
// TLS answers by itself, also whom the socket takes nothing for: who does not read is not read from.
constexpr std::size_t kUnsentMax = std::size_t{256} * 1024;
constexpr std::size_t kSendingKept = std::size_t{32} * 1024;  // twice what a subscriber gets in a round
constexpr std::size_t kReadBytesLeast = 4096;
// A packet that has begun has so much time, and more for what of it has come: keep alive says nothing of a client that
// asked for none, or that sends a byte now and then.
constexpr Duration kUnfinishedMax = std::chrono::seconds(60);
constexpr std::size_t kSlowestBytesPerSecond = 4096;
// What the kernel holds for a subscriber is old by the time it is read.
constexpr int kSubscriberSendBuffer = 64 * 1024;

}  // namespace

Connection::Connection(asio::ip::tcp::socket socket, std::optional<mqtt::TlsChannel> tls,
                       const ConnectionContext& context, std::string peer)
    : socket_(std::move(socket)),
      tls_(std::move(tls)),
      context_(context),
      peer_(std::move(peer)),
      session_(*context.core, *context.limits, context.clock->boot_now()) {}

void Connection::start() { wait_for_input(); }

// With wait instead of read, an idle connection needs no buffer.
void Connection::wait_for_input() {
  if (closed_ || waits_for_input_ || reading_stopped_) return;
  waits_for_input_ = true;
  socket_.async_wait(asio::ip::tcp::socket::wait_read, [self = shared_from_this()](const error_code& problem) {
    self->waits_for_input_ = false;
    if (problem || self->closed_) return;
    self->read();
  });
}

void Connection::read() {
  const std::span buffer = std::span(*context_.read_buffer).first(read_bytes_max());
  for (int i = 0; i < kReadsPerTurn && !closed_; ++i) {
    // Who is held back is read on by resume().
    if (!may_take()) break;
    error_code problem;
    const std::size_t count = socket_.read_some(asio::buffer(buffer.data(), buffer.size()), problem);
    if (problem == asio::error::would_block || problem == asio::error::try_again) break;
    if (problem) return close();
    last_read_ = ++*context_.reads;
    if (!take({buffer.data(), count})) break;
    if (count < buffer.size()) break;
  }
  flush();
  go_on();
}

// What a client that is too fast has sent waits in its socket, and not with us beyond its share.
std::size_t Connection::read_bytes_max() const {
  const std::size_t most = context_.read_buffer->size();
  if (context_.limits->messages_per_second_max == 0) return most;
  return std::min(most, std::max(context_.held_share, kReadBytesLeast));
}

void Connection::go_on() {
  if (may_take()) wait_for_input();
  wait_while_slowed();
}

// Backpressure: nothing is refused or lost, the client's messages wait in its socket.
void Connection::wait_while_slowed() {
  if (closed_ || is_slowed_) return;
  const BootTime now = context_.clock->boot_now();
  const auto until = session_.slowed_until(now);
  if (!until) return;
  is_slowed_ = true;
  context_.slowed(*this);
  if (!rate_timer_) rate_timer_ = std::make_unique<asio::steady_timer>(socket_.get_executor());
  rate_timer_->expires_after(*until - now);
  rate_timer_->async_wait([self = shared_from_this()](const error_code& cancelled) {
    self->is_slowed_ = false;
    if (cancelled || self->closed_) return;
    self->session_.slowed_until(self->context_.clock->boot_now());  // refills
    self->resume();
  });
}

bool Connection::may_take() const {
  return !closed_ && !reading_stopped_ && sending_.size() < kUnsentMax && session_.wants_input() &&
         context_.core->wants_messages();
}

// False when the connection is to end.
bool Connection::take(std::string_view input) {
  if (!tls_) {
    work_through(input);
    return !session_.is_over();
  }
  std::string plain;
  const auto received = tls_->receive(input, plain, sending_);
  if (!plain.empty()) work_through(plain);
  if (received) return !session_.is_over();
  is_tls_refused_ = !tls_->is_ready();
  session_.end(mqtt::ReasonCode::unspecified_error, received.error().message);
  return false;
}

// Answers that leave at once, as those to refused messages do, make room for packets that are held already: no byte and
// no acknowledgement that is still to come would bring these up again.
void Connection::work_through(std::string_view plain) {
  std::size_t used = receive(plain);
  while (used > 0 && !held_.empty() && may_take()) used = receive({});
  if (held_.empty() && held_.capacity() > 4096) free_room(held_);
  if (beyond_share_ > 0) context_.make_room();
}

// Returns how much the session has taken of what was held and of `plain`.
std::size_t Connection::receive(std::string_view plain) {
  const BootTime now = context_.clock->boot_now();
  std::size_t used = 0;
  if (held_.empty()) {
    used = session_.receive(plain, now);
    held_.assign(plain.substr(used));
    held_since_ = now;
  } else {
    held_.append(plain);
    used = session_.receive(held_, now);
    held_.erase(0, used);
    if (used > 0) held_since_ = now;
  }
  count_held();
  session_.release(context_.core->safe());
  flush();
  look_at_subscriber();
  return used;
}

void Connection::look_at_subscriber() {
  if (closed_ || session_.subscriber() == nullptr) return;
  if (!std::exchange(is_subscriber_, true)) {
    error_code ignored;
    socket_.set_option(asio::socket_base::send_buffer_size(kSubscriberSendBuffer), ignored);
    context_.subscribed(*this);
  }
  if (can_send_latest()) context_.wants_to_send(*this);
}

bool Connection::can_send_latest() const { return !closed_ && !waits_for_output_ && session_.wants_to_send(); }

void Connection::send_latest(std::size_t& budget) {
  if (!can_send_latest()) return;
  session_.subscriber()->fill(session_.out(), budget);
  flush();
}

void Connection::count_held() {
  const std::size_t beyond = held_.size() > context_.held_share ? held_.size() - context_.held_share : 0;
  *context_.held_bytes -= beyond_share_;
  *context_.held_bytes += beyond;
  beyond_share_ = beyond;
}

void Connection::give_up_held() {
  session_.end(mqtt::ReasonCode::quota_exceeded,
               "the connections together hold too much of unfinished packets, and this one holds most");
  free_room(held_);
  count_held();
}

void Connection::resume() {
  if (closed_) return;
  session_.release(context_.core->safe());
  flush();
  if (!held_.empty() && may_take()) work_through({});
  go_on();
  look_at_subscriber();
}

void Connection::check_unfinished(BootTime now) {
  if (held_.empty()) return;
  if (!may_take()) {  // then it is not the client that keeps us waiting
    held_since_ = now;
    return;
  }
  const Duration most = kUnfinishedMax + std::chrono::seconds(held_.size() / kSlowestBytesPerSecond);
  if (now - held_since_ < most) return;
  session_.end(mqtt::ReasonCode::keep_alive_timeout, "a packet of it is not all there after too long a time");
}

void Connection::check_deadline(BootTime now) {
  check_unfinished(now);
  session_.expire(now);
  if (!session_.is_over() || closed_) return;
  // Who does not read why it was ended is not waited for a second time.
  if (std::exchange(was_over_, true)) return close();
  flush();
}

// While the socket takes nothing, answers stay with the session, which then takes no more from the client.
void Connection::flush() {
  if (closed_ || waits_for_output_) return;
  std::string& out = session_.out();
  if (!out.empty() && !tls_) {
    sending_.append(out);
    out.clear();
  } else if (!out.empty() && tls_->is_ready()) {
    if (auto sent = tls_->send(out, sending_); !sent)
      session_.end(mqtt::ReasonCode::unspecified_error, sent.error().message);
    out.clear();  // with the goodbye, which can be sent no more than the rest
  }
  if (out.empty() && out.capacity() > kSendingKept) free_room(out);  // of a client that did not read for long
  write_more();
}

void Connection::write_more() {
  while (!sending_.empty() && !closed_) {
    error_code problem;
    const std::size_t count = socket_.write_some(asio::buffer(sending_), problem);
    if (problem == asio::error::would_block || problem == asio::error::try_again) {
      waits_for_output_ = true;
      socket_.async_wait(asio::ip::tcp::socket::wait_write, [self = shared_from_this()](const error_code& failed) {
        self->waits_for_output_ = false;
        if (failed || self->closed_) return;
        self->write_more();
        self->resume();
      });
      return;
    }
    if (problem) return close();
    sending_.erase(0, count);
  }
  if (sending_.capacity() > kSendingKept) free_room(sending_);
  end_when_sent();
}

void Connection::end_when_sent() {
  if (closed_ || !session_.is_over()) return;
  if (tls_) {
    tls_->close(sending_);
    error_code ignored;
    socket_.write_some(asio::buffer(sending_), ignored);  // a goodbye that does not fit is none
  }
  close();
}

void Connection::close() {
  if (std::exchange(closed_, true)) return;
  held_.clear();
  count_held();
  if (rate_timer_) rate_timer_->cancel();
  error_code ignored;
  socket_.shutdown(asio::ip::tcp::socket::shutdown_both, ignored);
  socket_.close(ignored);
  context_.closed(*this);
}

}  // namespace tidegate::drivers
