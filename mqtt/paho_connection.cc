#include "mqtt/paho_connection.h"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstring>
#include <memory>
#include <utility>

#include "mqtt/broker_host.h"
#include "mqtt/paho_library.h"

namespace tidegate::mqtt {
namespace {

constexpr int kQueuedMax = 60'000;  // under the number of message ids; how much really waits is the uplink's window
// Paho asks whether the broker is there after one keep alive without a packet, and waits one and a half more for the
// answer. So that a dead connection is found within one and a half of what is configured, it is told three fifths.
constexpr int kKeepAliveParts = 3;
constexpr int kKeepAliveOf = 5;
constexpr int kRefusedSubscription = 0x80;  // MQTT 3.1.1, section 3.9.3

std::chrono::seconds whole_seconds(Duration duration) {
  return std::max(std::chrono::ceil<std::chrono::seconds>(duration), std::chrono::seconds(1));
}

::mqtt::ssl_options ssl_options(const TlsOptions& tls) {
  ::mqtt::ssl_options ssl;  // without a trust store OpenSSL's default, the system's, is used
  if (!tls.ca_file.empty()) ssl.set_trust_store(tls.ca_file);
  if (!tls.cert_file.empty()) ssl.set_key_store(tls.cert_file);
  if (!tls.key_file.empty()) ssl.set_private_key(tls.key_file);
  ssl.set_enable_server_cert_auth(tls.verify);  // the chain
  ssl.set_verify(tls.verify);                   // the host name
  return ssl;
}

// Paho's exceptions end here.
template <class Call>
Result<void> guarded(const char* what, const Call& call) {
  try {
    call();
    return {};
  } catch (const std::exception& problem) {
    return fail(ErrorCode::link_down, std::string(what) + ": " + problem.what());
  }
}

}  // namespace

class PahoConnection::ConnectListener final : public ::mqtt::iaction_listener {
 public:
  explicit ConnectListener(PahoConnection& owner) : owner_(owner) {}
  void on_success(const ::mqtt::token&) override {
    owner_.end_handshake();
    owner_.events_.on_connected();
  }
  void on_failure(const ::mqtt::token& token) override {
    ConnectFailure failure;
    failure.code = token.get_return_code();
    if (owner_.handshake_watched_.load()) failure.tls_complaint = PahoLibrary::instance().take_tls_complaint();
    owner_.end_handshake();
    owner_.events_.on_connect_failed(failure);
  }

 private:
  PahoConnection& owner_;
};

// One object for all subscriptions, each a packet of its own; told is the answer to all.
class PahoConnection::SubscribeListener final : public ::mqtt::iaction_listener {
 public:
  explicit SubscribeListener(PahoConnection& owner) : owner_(owner) {}

  void expect(std::size_t count) {
    answer_ = {};
    missing_ = count;
  }
  void on_success(const ::mqtt::token& token) override {
    const auto codes = token.get_subscribe_response().get_reason_codes();
    note(token, codes.empty() ? kRefusedSubscription : code_of(codes.front()));
  }
  void on_failure(const ::mqtt::token& token) override {
    // Anything else comes with the loss of the connection, which is told by itself.
    if (token.get_return_code() == kRefusedSubscription) note(token, kRefusedSubscription);
  }

 private:
  // As bytes: when the broker answers one filter with several codes, Paho gives the half of a pointer instead.
  static int code_of(const ::mqtt::ReasonCode& given) {
    int code = 0;
    static_assert(sizeof code == sizeof given);
    std::memcpy(&code, &given, sizeof code);
    return code >= 0 && code < kRefusedSubscription ? code : kRefusedSubscription;
  }
  void note(const ::mqtt::token& token, int code) {
    const auto number = reinterpret_cast<std::uintptr_t>(token.get_user_context());
    if (missing_ == 0 || number >= owner_.subscriptions_.size()) return;
    const Subscription& subscription = owner_.subscriptions_[number];
    answer_.note(subscription.filter, subscription.qos, code);
    if (--missing_ == 0) owner_.events_.on_subscribed(answer_);
  }

  PahoConnection& owner_;
  SubscribeAnswer answer_;
  std::size_t missing_ = 0;
};

// One object for all publishes: what tells them apart is the number that travels as user context.
class PahoConnection::PublishListener final : public ::mqtt::iaction_listener {
 public:
  explicit PublishListener(PahoConnection& owner) : owner_(owner) {}
  void on_success(const ::mqtt::token& token) override { owner_.events_.on_published(number_of(token), true); }
  void on_failure(const ::mqtt::token& token) override { owner_.events_.on_published(number_of(token), false); }

 private:
  static InFlight::Number number_of(const ::mqtt::token& token) {
    return static_cast<InFlight::Number>(reinterpret_cast<std::uintptr_t>(token.get_user_context()));
  }
  PahoConnection& owner_;
};

PahoConnection::PahoConnection(const BrokerOptions& broker, ConnectionEvents& events)
    : broker_(broker),
      events_(events),
      connect_listener_(std::make_unique<ConnectListener>(*this)),
      subscribe_listener_(std::make_unique<SubscribeListener>(*this)),
      publish_listener_(std::make_unique<PublishListener>(*this)) {}

PahoConnection::~PahoConnection() {
  client_.reset();
  end_handshake();
}

Result<void> PahoConnection::connect(const std::optional<ConnectionWill>& will) {
  PahoLibrary& library = PahoLibrary::instance();
  const auto begun = guarded("connect", [&] {
    ::mqtt::create_options create;
    create.set_max_buffered_messages(kQueuedMax);
    create.set_send_while_disconnected(false);
    client_ = std::make_unique<::mqtt::async_client>(broker_.uri, broker_.client_id, create, &unsent_);
    install_handlers();
    if (wants_tls(broker_.uri)) {
      library.watch_tls_handshake();
      handshake_watched_ = true;
    }
    client_->connect(connect_options(will), nullptr, *connect_listener_);
  });
  if (!begun) end_handshake();
  return begun;
}

void PahoConnection::end_handshake() {
  if (handshake_watched_.exchange(false)) PahoLibrary::instance().forget_tls_handshake();
}

// Not set_callback: it takes Paho's lock while it holds its own, and the receive thread takes them the other way round.
// An exception must not leave a handler; if one tries, the process ends and the broker sends the message again, which
// is better than to acknowledge what was not kept.
void PahoConnection::install_handlers() {
  client_->set_message_callback([this](const ::mqtt::const_message_ptr& message) noexcept {
    const auto& topic = message->get_topic_ref();
    const auto& payload = message->get_payload_ref();
    events_.on_message({topic.data(), topic.size()}, {payload.data(), payload.size()}, message->is_retained(),
                       message->is_duplicate());
  });
  client_->set_connection_lost_handler([this](const std::string&) noexcept { events_.on_lost(); });
}

::mqtt::connect_options PahoConnection::connect_options(const std::optional<ConnectionWill>& will) const {
  ::mqtt::connect_options options;
  options.set_mqtt_version(MQTTVERSION_3_1_1);
  options.set_clean_session(broker_.clean_session);
  options.set_automatic_reconnect(false);
  options.set_keep_alive_interval(whole_seconds(broker_.keep_alive * kKeepAliveParts / kKeepAliveOf));
  options.set_connect_timeout(whole_seconds(broker_.connect_timeout));
  options.set_max_inflight(1000);
  if (!broker_.username.empty()) options.set_user_name(broker_.username);
  if (!broker_.password.empty()) options.set_password(broker_.password);
  if (wants_tls(broker_.uri)) options.set_ssl(ssl_options(broker_.tls));
  if (will) options.set_will(::mqtt::will_options(will->topic, will->payload, 1, false));
  return options;
}

// Each by itself: to a list Paho's C++ layer takes as many codes as were asked for, and a broker that answers with
// fewer would have it read, and end the process, where there are none. (It misreads the answer to a list of one, too.)
Result<void> PahoConnection::subscribe(const std::vector<Subscription>& subscriptions) {
  subscriptions_ = subscriptions;
  subscribe_listener_->expect(subscriptions_.size());
  return guarded("subscribe", [&] {
    for (std::size_t i = 0; i < subscriptions_.size(); ++i) {
      client_->subscribe(subscriptions_[i].filter, subscriptions_[i].qos, reinterpret_cast<void*>(i),
                         *subscribe_listener_);
    }
  });
}

Result<void> PahoConnection::publish(InFlight::Number number, std::string topic, std::string payload, int qos) {
  return guarded("publish", [&] {
    auto message = ::mqtt::make_message(std::move(topic), std::move(payload), qos, false);
    client_->publish(std::move(message), reinterpret_cast<void*>(static_cast<std::uintptr_t>(number)),
                     *publish_listener_);
  });
}

Result<void> PahoConnection::publish_at_most_once(std::string topic, std::string payload) {
  return guarded("publish",
                 [&] { client_->publish(::mqtt::make_message(std::move(topic), std::move(payload), 0, false)); });
}

}  // namespace tidegate::mqtt
