#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "core/time.h"
#include "mqtt/broker_options.h"
#include "mqtt/reason_code.h"

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
  unsuitable,       // the broker cannot do what we need: retried slowly
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

/// What MQTT 5 says beside a payload; with 3.1.1 it is left out. Texts of up to 65,535 bytes.
struct MessageProperties {
  std::string content_type;
  bool is_text = false;  // the payload is UTF-8
  std::vector<std::pair<std::string, std::string>> user;
  bool operator==(const MessageProperties&) const = default;
};

struct Publication {
  std::uint64_t ticket = 0;
  std::string topic;
  std::string payload;
  int qos = 1;
  MessageProperties properties{};
};

/// Why a broker of MQTT 5 does not have a publish.
struct PublishRefusal {
  ReasonCode reason = ReasonCode::unspecified_error;  // packet_too_large: it was not even sent
  std::string words{};                                // the broker's own, if there are any
  std::size_t bytes = 0;                              // of the packet that was too large
  std::size_t bytes_max = 0;                          // of those that the broker takes
  bool operator==(const PublishRefusal&) const = default;
};

/// What a client tells its owner. Called on the clients' thread: copy and post, never block, never throw, never call
/// back into the client.
struct ClientHandlers {
  /// A message for one of the subscriptions. True: it is taken, as safe as it has to be, and its PUBACK leaves. False:
  /// there is no room for it now; it is brought again some milliseconds later, and until it is taken nothing more of
  /// this connection is read, which holds back the broker. `duplicate` is the DUP flag, `retained` the RETAIN flag.
  std::function<bool(std::string_view topic, std::string_view payload, bool retained, bool duplicate)> message;
  /// A message over BrokerOptions::packet_bytes_max, which is acknowledged, and of which nothing is kept.
  std::function<void(std::string_view topic, std::uint64_t bytes)> message_too_large{};
  /// The broker acknowledged (ok) the publish with this ticket, or it failed: then whether the broker has it is
  /// unknown.
  std::function<void(std::uint64_t ticket, bool ok)> published;
  /// In place of published(ticket, false), where it is known that the broker does not have it, and why.
  std::function<void(std::uint64_t ticket, const PublishRefusal& refusal)> refused{};
  std::function<void(const LinkState&)> link;
  /// Asked before each try to connect: the will of that connection, whose number grows. Whatever is told until the next
  /// call is of this connection. It has no will without this.
  std::function<ConnectionWill(std::uint64_t connection)> will{};
};

/// One connection to a broker: connects, subscribes, reconnects with full jitter, for as long as it lives. Persistent
/// session unless BrokerOptions say otherwise, MQTT 3.1.1 or 5, QoS 1. Nothing that was given up with a connection is
/// sent with the next one.
///
/// All that clients do happens on one thread ("mqtt"): none of these functions blocks on the network, and any thread
/// may call them.
class Client {
 public:
  virtual ~Client() = default;
  virtual void start() = 0;
  /// Gives open publishes half of `grace` to be acknowledged, disconnects, and waits for the handlers to be done, at
  /// most `grace`: false when they are not yet, and then it may be called again to wait longer. After it `published`,
  /// `refused` and `link` are not called any more, and the others not once it was true: until then they may be, and own
  /// what they use.
  virtual bool stop(Duration grace) = 0;
  /// Queues a publish; `published` reports its ticket exactly once, with ok = false when the link goes down before.
  virtual void publish(Publication publication) = 0;
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
