#pragma once

#include <cstddef>
#include <cstdint>
#include <mutex>
#include <optional>
#include <string>
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
  bool is_retained = false;   // the broker had it before the subscription
  bool is_duplicate = false;  // the broker sent it before
};
struct ConnectEvent {  // a connection is tried, of which is what follows
  std::uint64_t connection = 0;
  std::uint64_t bd_seq = 0;  // of its will
};
struct LinkEvent {
  mqtt::LinkState state;
};
using ClientEvent = std::variant<PublishedEvent, MessageEvent, ConnectEvent, LinkEvent>;

/// What a client has told, in its order, for a thread that takes it up later. Of messages, which others send, only so
/// many wait, and none that is large: the rest is left out and counted. Of messages in a row that say the same one
/// waits, unless each of them counts, as commands that write do. The newest state of the host always finds room. Any
/// thread.
class ClientEvents {
 public:
  static constexpr std::size_t kMessagesMost = 1000;
  static constexpr std::size_t kMessageBytesMost = 64 * 1024;
  static constexpr std::size_t kStatesMost = 16;

  /// `host_topic` is that of the host's state; empty without a host.
  explicit ClientEvents(std::string host_topic, bool each_counts = false)
      : host_topic_(std::move(host_topic)), each_counts_(each_counts) {}

  /// Whether it is the first that waits.
  bool put(ClientEvent event);

  struct Taken {
    std::vector<ClientEvent> events;
    std::size_t left_out = 0;  // messages
  };
  Taken take();

 private:
  struct WaitingState {
    std::size_t at = 0;  // of the newest
    std::int64_t timestamp = 0;
    std::size_t count = 0;
  };

  bool put_message(MessageEvent message);
  bool put_state(MessageEvent message, std::int64_t timestamp);
  bool append(ClientEvent event);

  const std::string host_topic_;
  const bool each_counts_;
  std::mutex mutex_;
  std::vector<ClientEvent> events_;
  std::optional<std::size_t> last_message_;  // its place
  std::optional<WaitingState> state_;        // of the newest connection
  std::size_t messages_ = 0;
  std::size_t left_out_ = 0;
};

}  // namespace tidegate::uplink
