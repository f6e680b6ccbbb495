#include "uplink/sparkplug/client_events.h"

#include <utility>

#include "uplink/sparkplug/host_state.h"

namespace tidegate::uplink {

bool ClientEvents::put(ClientEvent event) {
  const std::lock_guard lock(mutex_);
  if (auto* message = std::get_if<MessageEvent>(&event)) return put_message(std::move(*message));
  // What comes with another connection must not move in front of it.
  if (!std::holds_alternative<PublishedEvent>(event)) {
    state_.reset();
    last_message_.reset();
  }
  return append(std::move(event));
}

bool ClientEvents::put_message(MessageEvent message) {
  if (!host_topic_.empty() && message.topic == host_topic_) {
    if (const auto state = parse_host_state(message.payload)) return put_state(std::move(message), state->timestamp);
  }
  if (last_message_ && !each_counts_) {
    const auto& last = std::get<MessageEvent>(events_[*last_message_]);
    const bool is_same = last.topic == message.topic && last.payload == message.payload;
    if (is_same && last.is_retained == message.is_retained) return false;  // says nothing more
  }
  if (message.payload.size() > kMessageBytesMost || messages_ == kMessagesMost) {
    ++left_out_;
    return false;
  }
  ++messages_;
  last_message_ = events_.size();
  return append(std::move(message));
}

// An older one is left out, as the session would do; of many the last stands for those before it.
bool ClientEvents::put_state(MessageEvent message, std::int64_t timestamp) {
  if (state_ && timestamp < state_->timestamp) return false;
  if (state_ && state_->count == kStatesMost) {
    state_->timestamp = timestamp;
    events_[state_->at] = std::move(message);
    return false;
  }
  state_ = WaitingState{events_.size(), timestamp, state_ ? state_->count + 1 : 1};
  return append(std::move(message));
}

bool ClientEvents::append(ClientEvent event) {
  events_.push_back(std::move(event));
  return events_.size() == 1;
}

ClientEvents::Taken ClientEvents::take() {
  const std::lock_guard lock(mutex_);
  messages_ = 0;
  last_message_.reset();
  state_.reset();
  return {std::exchange(events_, {}), std::exchange(left_out_, 0)};
}

}  // namespace tidegate::uplink
