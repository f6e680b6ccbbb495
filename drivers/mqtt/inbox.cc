#include "drivers/mqtt/inbox.h"

#include <iterator>

namespace tidegate::drivers {
namespace {

// Between two turns of the core, and for as long as the log takes nothing; beyond it sockets are left unread.
constexpr std::size_t kReadyMax = 32 * 1024;

std::size_t bytes_of(const Reading& reading) {
  const auto* text = std::get_if<std::string>(&reading.value);
  return sizeof reading + (text == nullptr ? 0 : text->size());
}

}  // namespace

Inbox::Inbox(Options options, std::unique_ptr<MessageDecoder> decoder, const Clock& clock, std::function<void()> wake)
    : options_(options), decoder_(std::move(decoder)), clock_(clock), wake_(std::move(wake)) {}

Refusal Inbox::take(std::string_view topic, std::string_view payload, bool retained, bool duplicate) {
  const std::size_t before = ready_.size();
  const BootTime now = clock_.boot_now();
  decoder_->set_time(clock_.quality(), now);
  const Refusal refusal = decoder_->decode({topic, payload, clock_.wall_now(), now, retained, duplicate}, ready_);
  if (ready_.size() == before) return refusal;
  for (std::size_t i = before; i < ready_.size(); ++i) ready_bytes_ += bytes_of(ready_[i]);
  ++taken_;
  ends_.push_back(ready_.size());
  if (before == 0) wake_();
  return refusal;
}

Ticket Inbox::draw_ticket() {
  ++taken_;
  wake_();
  return taken_;
}

bool Inbox::wants_messages() const { return ready_.size() < kReadyMax && ready_bytes_ < options_.bytes_max; }

std::size_t Inbox::messages_within(std::size_t readings_max, std::size_t bytes_max) const {
  std::size_t messages = 0;
  std::size_t bytes = 0;
  std::size_t from = 0;
  for (; messages < ends_.size(); from = ends_[messages++]) {
    for (std::size_t i = from; i < ends_[messages]; ++i) bytes += bytes_of(ready_[i]);
    if (messages > 0 && (ends_[messages] > readings_max || bytes > bytes_max)) break;
  }
  return messages;
}

bool Inbox::collect(Intake& into, std::size_t messages) {
  const std::size_t count = messages == 0 ? 0 : ends_[messages - 1];
  if (into.readings.empty() && count == ready_.size()) {
    into.readings.swap(ready_);
    ready_.clear();
    if (spare_.is_too_much(count * sizeof(Reading), ready_.capacity() * sizeof(Reading))) free_room(ready_);
  } else {
    const auto end = ready_.begin() + static_cast<std::ptrdiff_t>(count);
    into.readings.insert(into.readings.end(), std::make_move_iterator(ready_.begin()), std::make_move_iterator(end));
    ready_.erase(ready_.begin(), end);
  }
  ends_.erase(ends_.begin(), ends_.begin() + static_cast<std::ptrdiff_t>(messages));
  for (std::size_t& end : ends_) end -= count;
  ready_bytes_ = 0;
  for (const Reading& reading : ready_) ready_bytes_ += bytes_of(reading);
  if (!ends_.empty()) wake_();
  return !ends_.empty();
}

void Inbox::settled() {
  ++settles_;
  if (options_.ack == MessageAck::written) {
    safe_ = collected();
  } else {
    settled_.emplace_back(settles_, collected());
  }
}

void Inbox::durable(std::uint64_t count) {
  for (; !settled_.empty() && settled_.front().first <= count; settled_.pop_front()) safe_ = settled_.front().second;
}

}  // namespace tidegate::drivers
