#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "core/clock.h"
#include "core/spare_room.h"
#include "drivers/driver.h"
#include "drivers/mqtt/message_decoder.h"
#include "drivers/mqtt/options.h"

namespace tidegate::drivers {

/// Grows with every message that a driver takes; a message is safe when its ticket is.
using Ticket = std::uint64_t;

/// What was decoded of messages and waits for the log, for drivers that acknowledge by what becomes of it there: a
/// message that readings come of gets a ticket, and safe() says up to which one the log has what was asked of it.
/// Passive; the core thread. Bounded by whoever heeds wants_messages(), and by one message beyond that.
class Inbox {
 public:
  struct Options {
    MessageAck ack = MessageAck::durable;
    std::size_t bytes_max = std::size_t{4} * 1024 * 1024;  // that wait
  };
  /// `wake` is called when there is something to collect again. The clock outlives this.
  Inbox(Options options, std::unique_ptr<MessageDecoder> decoder, const Clock& clock, std::function<void()> wake);

  /// Takes a message in. Returns why something of it was not taken; when nothing was, taken() stays as it is.
  Refusal take(std::string_view topic, std::string_view payload, bool retained, bool duplicate);
  /// A ticket that is safe when all is that the log has already. Before the first message.
  Ticket draw_ticket();
  /// False while so much waits for the log that nothing more is to be read.
  bool wants_messages() const;

  Ticket taken() const { return taken_; }
  Ticket collected() const { return taken_ - ends_.size(); }
  Ticket safe() const { return safe_; }
  std::size_t messages() const { return ends_.size(); }
  std::size_t bytes() const { return ready_bytes_; }
  std::size_t bytes_max() const { return options_.bytes_max; }
  const MessageDecoder& decoder() const { return *decoder_; }
  MessageDecoder& decoder() { return *decoder_; }

  /// How many of the first messages that wait have together no more than this; one at the least, if there is one.
  std::size_t messages_within(std::size_t readings_max, std::size_t bytes_max) const;
  /// Hands over the first `messages` that wait. True when there are more.
  bool collect(Intake& into, std::size_t messages);

  // As in Driver.
  void settled();
  void durable(std::uint64_t count);

 private:
  const Options options_;
  const std::unique_ptr<MessageDecoder> decoder_;
  const Clock& clock_;
  const std::function<void()> wake_;

  std::vector<Reading> ready_;
  SpareRoom spare_;  // of these
  std::size_t ready_bytes_ = 0;
  std::deque<std::size_t> ends_;  // in ready_, behind the readings of each message
  Ticket taken_ = 0;
  Ticket safe_ = 0;
  std::uint64_t settles_ = 0;
  std::deque<std::pair<std::uint64_t, Ticket>> settled_;  // how many calls of settled(), and what they cover
};

}  // namespace tidegate::drivers
