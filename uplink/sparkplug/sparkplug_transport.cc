#include "uplink/sparkplug/sparkplug_transport.h"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <thread>
#include <utility>
#include <vector>

#include "core/clock.h"
#include "uplink/sparkplug/client_events.h"
#include "uplink/sparkplug/sparkplug_names.h"
#include "uplink/sparkplug/sparkplug_session.h"
#include "uplink/transport_inbox.h"

namespace tidegate::uplink {
namespace {

constexpr std::uint64_t kSessionNumbers = 256;

mqtt::BrokerOptions clean(mqtt::BrokerOptions broker) {
  broker.clean_session = true;  // Sparkplug 3.0: births tell anew what a session would have kept
  return broker;
}

/// Owns the connection and a thread, on which the session decides. What the client tells is put down on its threads and
/// taken up here, in that order.
class SparkplugTransport final : public Transport {
 public:
  SparkplugTransport(const MqttClientFactory& make_client, MqttUplinkOptions options, const std::string& gateway,
                     std::uint64_t first_session, TransportHandlers handlers)
      : options_(std::move(options)),
        names_(options_.sparkplug, gateway),
        handlers_(std::move(handlers)),
        session_(options_.forwarder.name, options_.sparkplug, gateway),
        next_bd_seq_(first_session) {
    client_ = make_client(clean(options_.broker), subscriptions(), client_handlers());
  }
  ~SparkplugTransport() override { stop(Duration::zero()); }

  Result<void> start() override {
    if (auto opened = inbox_.open(); !opened) return opened;
    thread_ = std::thread([this] { run(); });
    client_->start();
    return {};
  }

  void stop(Duration grace) override {
    if (!thread_.joinable()) return;
    inbox_.end(grace);
    thread_.join();
    client_->stop(std::max<Duration>(grace, kDisconnectGrace));  // waits for the acknowledgement of the death
  }

  void send(const OutgoingBatch& batch) override {
    if (!inbox_.put(batch)) handlers_.done(batch.id, false);
  }

 private:
  static constexpr Duration kDisconnectGrace = std::chrono::seconds(1);

  std::vector<mqtt::Subscription> subscriptions() const {
    std::vector<mqtt::Subscription> wanted{{names_.topic("NCMD"), 1}, {names_.topic("DCMD", "+"), 1}};
    if (!names_.host().empty()) wanted.push_back({names_.host_topic(), 1});
    return wanted;
  }

  mqtt::ClientHandlers client_handlers() {
    mqtt::ClientHandlers handlers;
    handlers.published = [this](std::uint64_t ticket, bool ok) { put(PublishedEvent{ticket, ok}); };
    handlers.link = [this](const mqtt::LinkState& state) { put(LinkEvent{state, bd_seq_.load()}); };
    handlers.message = [this](std::string_view topic, std::string_view payload, bool, bool) {
      put(MessageEvent{std::string(topic), std::string(payload)});
    };
    handlers.will = [this] {
      bd_seq_ = next_bd_seq_++ % kSessionNumbers;
      return sparkplug_death(names_, bd_seq_.load(), clock_.wall_now());
    };
    return handlers;
  }

  void put(ClientEvent event) {
    if (events_.put(std::move(event))) inbox_.wake();
  }

  void run() {
    std::vector<OutgoingBatch> batches;
    std::optional<BootTime> ends_by;
    while (!ends_by || (session_.has_open_batches() && clock_.boot_now() < *ends_by)) {
      wait(ends_by);
      for (const ClientEvent& event : events_.take()) std::visit([this](const auto& one) { take(one); }, event);
      ends_by = inbox_.take(batches);
      for (const OutgoingBatch& batch : batches) session_.take_batch(batch, now());
      session_.tick(now());
      carry_out();
    }
    session_.end(now());
    session_.give_up();
    carry_out();
  }

  void wait(std::optional<BootTime> ends_by) const {
    std::optional<BootTime> until = session_.next_deadline();
    if (ends_by) until = std::min(until.value_or(*ends_by), *ends_by);
    inbox_.wait(until ? std::optional<Duration>(std::max<Duration>(*until - clock_.boot_now(), kShortestWait))
                      : std::nullopt);
  }
  static constexpr Duration kShortestWait = std::chrono::milliseconds(1);

  void take(const PublishedEvent& event) { session_.published(event.ticket, event.ok, now()); }
  void take(const MessageEvent& event) { session_.take_message(event.topic, event.payload, now()); }
  void take(const LinkEvent& event) {
    if (event.state.up) {
      session_.connected(event.bd_seq, event.state.detail, now());
    } else {
      session_.disconnected(event.state.detail);
    }
  }

  void carry_out() {
    SparkplugOrders orders = session_.take_orders();
    for (SparkplugMessage& message : orders.messages) {
      if (message.qos == 0) {
        client_->hand_over(message.ticket, std::move(message.topic), std::move(message.payload));
      } else {
        client_->publish(message.ticket, std::move(message.topic), std::move(message.payload));
      }
    }
    for (const auto& done : orders.done) handlers_.done(done.batch_id, done.ok);
    if (orders.link) handlers_.link(orders.link->up, orders.link->detail);
    if (orders.reconnect) client_->reconnect();
  }

  SparkplugSession::Now now() const { return {clock_.boot_now(), clock_.wall_now()}; }

  const MqttUplinkOptions options_;
  const SparkplugNames names_;
  const TransportHandlers handlers_;
  const SystemClock clock_;
  TransportInbox inbox_{clock_};
  ClientEvents events_;
  SparkplugSession session_;           // of the thread
  std::uint64_t next_bd_seq_;          // of the thread that asks for wills
  std::atomic<std::uint64_t> bd_seq_;  // of the newest connection
  std::thread thread_;
  std::unique_ptr<mqtt::Client> client_;  // last: its handlers use the rest until it is gone
};

}  // namespace

std::unique_ptr<Transport> make_sparkplug_transport_over(const MqttClientFactory& make_client,
                                                         MqttUplinkOptions options, std::string gateway,
                                                         std::uint64_t first_session, TransportHandlers handlers) {
  return std::make_unique<SparkplugTransport>(make_client, std::move(options), gateway, first_session,
                                              std::move(handlers));
}

std::unique_ptr<Transport> make_sparkplug_transport(MqttUplinkOptions options, std::string gateway,
                                                    std::uint64_t first_session, TransportHandlers handlers) {
  return make_sparkplug_transport_over(mqtt::make_paho_client, std::move(options), std::move(gateway), first_session,
                                       std::move(handlers));
}

}  // namespace tidegate::uplink
