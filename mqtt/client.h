#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/error.h"
#include "mqtt/broker_options.h"

namespace tidegate::mqtt {

struct Subscription {
  std::string filter;
  int qos = 1;
};

/// Why a connection is down, by what to do about it.
enum class LinkProblem : std::uint8_t {
  none,
  unreachable,      // name, route, port: retried with back-off
  refused_login,    // user name, password, client id or certificate refused: retried slowly
  bad_certificate,  // the broker's certificate was not accepted: retried slowly
  unusable_file,    // a file of ours cannot be read: retried slowly
  lost,             // was up, went down
  refused_filter,   // is up, but a subscription is refused, so that nothing comes of it
};

struct LinkState {
  bool up = false;
  LinkProblem problem = LinkProblem::none;
  std::string detail;  // in words, with what to check
};

/// What the broker publishes, with QoS 1, when a connection ends without a word.
struct ConnectionWill {
  std::string topic;
  std::string payload;
};

struct Publication {
  std::uint64_t ticket = 0;
  std::string topic;
  std::string payload;
  int qos = 1;
};

/// What a client tells its owner. Called on the clients' thread: copy and post, never block (but `message`, as it
/// says), never throw, never call back into the client.
struct ClientHandlers {
  /// A message for one of the subscriptions. PUBACK leaves when this returns, so it returns only when the message
  /// survives SIGKILL. `duplicate` is the DUP flag, `retained` the RETAIN flag.
  /// While it waits for something, all other clients of the process do.
  std::function<void(std::string_view topic, std::string_view payload, bool retained, bool duplicate)> message;
  /// A message over BrokerOptions::packet_bytes_max, which is acknowledged, and of which nothing is kept.
  std::function<void(std::string_view topic, std::uint64_t bytes)> message_too_large{};
  /// The broker acknowledged (ok) the publish with this ticket, or it failed: then whether the broker has it is
  /// unknown.
  std::function<void(std::uint64_t ticket, bool ok)> published;
  std::function<void(const LinkState&)> link;
  /// Asked before each try to connect: the will of that connection, whose number grows. Whatever is told until the next
  /// call is of this connection. It has no will without this.
  std::function<ConnectionWill(std::uint64_t connection)> will{};
};

/// One connection to a broker: connects, subscribes, reconnects with full jitter, for as long as it lives. Persistent
/// session unless BrokerOptions say otherwise, MQTT 3.1.1, QoS 1. Nothing that was given up with a connection is sent
/// with the next one.
///
/// All that clients do happens on one thread ("mqtt"): none of these functions blocks on the network, and any thread
/// may call them.
class Client {
 public:
  virtual ~Client() = default;
  virtual void start() = 0;
  /// Gives open publishes half of `grace` to be acknowledged, disconnects, and waits for the handlers to be done, at
  /// most `grace`: false when they are not yet, and then it may be called again to wait longer. After it `published`
  /// and `link` are not called any more. A `message` that still waits for something then goes on when it can, so that
  /// handler owns what it uses.
  virtual bool stop(Duration grace) = 0;
  /// Queues a QoS 1 publish; `published` reports `ticket` exactly once, with ok = false when the link goes down before.
  virtual void publish(std::uint64_t ticket, std::string topic, std::string payload) = 0;
  /// Queues a QoS 0 publish: nobody says what becomes of it, and while the link is down nothing does.
  virtual void publish_at_most_once(std::string topic, std::string payload) = 0;
  /// Queues a publish for that connection, as `will` has its number; `published` reports the ticket exactly once, with
  /// ok = false when it is another one by then. QoS 0 is ok when the network has taken it.
  virtual void publish_in(std::uint64_t connection, Publication publication) = 0;
  /// Ends that connection, if it still is, in order, without its will, and makes another after a pause. What is open is
  /// reported failed.
  virtual void reconnect(std::uint64_t connection) = 0;
};

std::unique_ptr<Client> make_client(BrokerOptions options, std::vector<Subscription> subscriptions,
                                    ClientHandlers handlers);

}  // namespace tidegate::mqtt
