#pragma once

#include <cstddef>
#include <cstdint>
#include <mutex>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "mqtt/client.h"

namespace tidegate::uplink {

struct PublishedEvent {
  std::uint64_t ticket = 0;
  bool ok = false;
};
struct MessageEvent {
  std::string topic;
  std::string payload;
};
struct LinkEvent {
  mqtt::LinkState state;
  std::uint64_t bd_seq = 0;  // of the will of the newest connection
};
using ClientEvent = std::variant<PublishedEvent, MessageEvent, LinkEvent>;

/// What a client has told, in its order, for a thread that takes it up later. Of messages, which others send, only so
/// many wait, and none that is large: the rest is left out. Any thread.
class ClientEvents {
 public:
  static constexpr std::size_t kMessagesMost = 1000;
  static constexpr std::size_t kMessageBytesMost = 64 * 1024;

  /// Whether it is the first that waits.
  bool put(ClientEvent event) {
    const auto* message = std::get_if<MessageEvent>(&event);
    if (message != nullptr && message->payload.size() > kMessageBytesMost) return false;
    const std::lock_guard lock(mutex_);
    if (message != nullptr && messages_ == kMessagesMost) return false;
    messages_ += message != nullptr ? 1 : 0;
    events_.push_back(std::move(event));
    return events_.size() == 1;
  }

  std::vector<ClientEvent> take() {
    const std::lock_guard lock(mutex_);
    messages_ = 0;
    return std::exchange(events_, {});
  }

 private:
  std::mutex mutex_;
  std::vector<ClientEvent> events_;
  std::size_t messages_ = 0;
};

}  // namespace tidegate::uplink
