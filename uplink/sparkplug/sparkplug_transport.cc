#include "uplink/sparkplug/sparkplug_transport.h"

#include <algorithm>
#include <chrono>
#include <thread>
#include <utility>
#include <vector>

#include "core/clock.h"
#include "core/log.h"
#include "uplink/sparkplug/client_events.h"
#include "uplink/sparkplug/sparkplug_names.h"
#include "uplink/sparkplug/sparkplug_session.h"
#include "uplink/start_thread.h"
#include "uplink/transport_inbox.h"

namespace tidegate::uplink {
namespace {

constexpr std::uint64_t kSessionNumbers = 256;

mqtt::BrokerOptions clean(mqtt::BrokerOptions broker) {
  broker.clean_session = true;  // Sparkplug 3.0: births tell anew what a session would have kept
  return broker;
}

/// The half of the transport that the client's handlers use. They own it: a `message` may go on after the client was
/// stopped, and a connection may be tried as late.
class Inlet {
 public:
  Inlet(const SparkplugOptions& options, const std::string& gateway, std::uint64_t first_session)
      : names_(options, gateway),
        events_(names_.host().empty() ? std::string() : names_.host_topic(), options.commands),
        next_bd_seq_(first_session) {}

  static mqtt::ClientHandlers handlers(const std::shared_ptr<Inlet>& inlet) {
    mqtt::ClientHandlers handlers;
    handlers.published = [inlet](std::uint64_t ticket, bool ok) { inlet->put(PublishedEvent{ticket, ok}); };
    handlers.link = [inlet](const mqtt::LinkState& state) { inlet->put(LinkEvent{state}); };
    handlers.message = [inlet](std::string_view topic, std::string_view payload, bool retained, bool duplicate) {
      inlet->put(MessageEvent{std::string(topic), std::string(payload), retained, duplicate});
      return true;
    };
    handlers.will = [inlet](std::uint64_t connection) { return inlet->next_death(connection); };
    return handlers;
  }

  const SparkplugNames& names() const { return names_; }
  const Clock& clock() const { return clock_; }
  TransportInbox& inbox() { return inbox_; }
  ClientEvents::Taken take() { return events_.take(); }

 private:
  void put(ClientEvent event) {
    if (events_.put(std::move(event))) inbox_.wake();
  }
  mqtt::ConnectionWill next_death(std::uint64_t connection) {
    const std::uint64_t bd_seq = next_bd_seq_++ % kSessionNumbers;
    put(ConnectEvent{connection, bd_seq});
    return sparkplug_death(names_, bd_seq, clock_.wall_now());
  }

  const SparkplugNames names_;
  const SystemClock clock_;
  TransportInbox inbox_{clock_};
  ClientEvents events_;
  std::uint64_t next_bd_seq_;  // of the thread that asks for wills
};

/// Owns the connection and a thread, on which the session decides. What the client tells is put down on its threads and
/// taken up here, in that order.
class SparkplugTransport final : public Transport {
 public:
  SparkplugTransport(const MqttClientFactory& make_client, MqttUplinkOptions options, const std::string& gateway,
                     std::uint64_t first_session, TransportHandlers handlers)
      : options_(std::move(options)),
        handlers_(std::move(handlers)),
        inlet_(std::make_shared<Inlet>(options_.sparkplug, gateway, first_session)),
        inbox_(inlet_->inbox()),
        session_(options_.forwarder.name, options_.sparkplug, gateway) {
    client_ = make_client(clean(options_.broker), subscriptions(), Inlet::handlers(inlet_));
  }
  ~SparkplugTransport() override { stop(Duration::zero()); }

  Result<void> start() override {
    if (auto opened = inbox_.open(); !opened) return opened;
    auto thread = start_thread(options_.forwarder.name, [this] { run(); });
    if (!thread) return tl::unexpected(thread.error());
    thread_ = std::move(*thread);
    client_->start();
    return {};
  }

  void stop(Duration grace) override {
    if (!thread_.joinable()) return;
    const BootTime ends_by = clock().boot_now() + grace;
    inbox_.end(grace - std::min<Duration>(grace, kDisconnectGrace));
    thread_.join();
    // What is left of it is for the acknowledgement of the death.
    client_->stop(std::max<Duration>(ends_by - clock().boot_now(), kDisconnectGrace));
  }

  void send(const OutgoingBatch& batch) override {
    if (!inbox_.put(batch)) handlers_.done(batch.id, false);
  }

 private:
  static constexpr Duration kDisconnectGrace = std::chrono::seconds(1);

  std::vector<mqtt::Subscription> subscriptions() const {
    const SparkplugNames& names = inlet_->names();
    std::vector<mqtt::Subscription> wanted{{names.topic("NCMD"), 1}, {names.topic("DCMD", "+"), 1}};
    if (!names.host().empty()) wanted.push_back({names.host_topic(), 1});
    return wanted;
  }

  void run() {
    std::vector<OutgoingBatch> batches;
    std::optional<BootTime> ends_by;
    while (!ends_by || (session_.has_open_batches() && clock().boot_now() < *ends_by)) {
      wait(ends_by);
      take_events();
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
    inbox_.wait(until ? std::optional<Duration>(std::max<Duration>(*until - clock().boot_now(), kShortestWait))
                      : std::nullopt);
  }
  static constexpr Duration kShortestWait = std::chrono::milliseconds(1);

  void take_events() {
    const ClientEvents::Taken taken = inlet_->take();
    for (const ClientEvent& event : taken.events) std::visit([this](const auto& one) { take(one); }, event);
    if (taken.left_out == 0) return;
    if (const auto more = complaints_.admit("left out", clock().boot_now())) {
      log_warning("uplink", "{}: {} messages for the node were left out, they come too fast or are too large{}",
                  options_.forwarder.name, taken.left_out, since_last_line(*more));
    }
  }
  void take(const ConnectEvent& event) {
    connection_ = event;
    session_.connecting("the connection was lost");
  }
  void take(const PublishedEvent& event) { session_.published(event.ticket, event.ok, now()); }
  void take(const MessageEvent& event) {
    session_.take_message({event.topic, event.payload, event.is_retained, event.is_duplicate}, now());
  }
  void take(const LinkEvent& event) {
    if (event.state.up) {
      session_.connected(connection_.bd_seq, event.state.detail, now());
    } else {
      session_.disconnected(event.state.detail);
    }
  }

  void carry_out() {
    SparkplugOrders orders = session_.take_orders();
    for (SparkplugMessage& message : orders.messages) {
      client_->publish_in(connection_.connection,
                          {message.ticket, std::move(message.topic), std::move(message.payload), message.qos});
    }
    for (auto& done : orders.done) report(std::move(done));
    for (TagWrite& write : orders.writes) {
      if (handlers_.write) handlers_.write(std::move(write));
    }
    if (orders.link) handlers_.link(orders.link->up, orders.link->detail);
    if (orders.reconnect) client_->reconnect(connection_.connection);
  }

  void report(SparkplugOrders::Done done) {
    if (done.refusal.empty() || !handlers_.failed) return handlers_.done(done.batch_id, done.ok);
    BatchFailure how;
    how.refusal = std::move(done.refusal);
    handlers_.failed(done.batch_id, std::move(how));
  }

  const Clock& clock() const { return inlet_->clock(); }
  SparkplugSession::Now now() const { return {clock().boot_now(), clock().wall_now(), clock().quality()}; }

  const MqttUplinkOptions options_;
  const TransportHandlers handlers_;
  const std::shared_ptr<Inlet> inlet_;
  TransportInbox& inbox_;     // of the inlet
  SparkplugSession session_;  // of the thread, as what follows
  ConnectEvent connection_;   // the newest
  ComplaintFilter complaints_;
  std::thread thread_;
  std::unique_ptr<mqtt::Client> client_;
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
  return make_sparkplug_transport_over(mqtt::make_client, std::move(options), std::move(gateway), first_session,
                                       std::move(handlers));
}

}  // namespace tidegate::uplink
