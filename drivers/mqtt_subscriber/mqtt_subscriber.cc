#include "drivers/mqtt_subscriber/mqtt_subscriber.h"

#include <algorithm>
#include <mutex>
#include <random>
#include <utility>

#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>

#include "core/backoff.h"
#include "core/log.h"
#include "core/text.h"
#include "drivers/mqtt/left_queue.h"
#include "drivers/mqtt/link_news.h"
#include "drivers/mqtt_subscriber/broker_connection.h"
#include "mqtt/broker_endpoints.h"
#include "mqtt/broker_host.h"
#include "mqtt/connect_failure.h"
#include "mqtt/link_report.h"
#include "mqtt/tls_client.h"
#include "mqtt/tls_files.h"

namespace tidegate::drivers {
namespace {

namespace asio = boost::asio;
using mqtt::LinkProblem;
using mqtt::LinkState;

constexpr std::size_t kReadBufferBytes = 64 * 1024;
constexpr Duration kTickLeast = std::chrono::milliseconds(10);

std::uint64_t jitter_seed() {
  std::random_device random;
  return (static_cast<std::uint64_t>(random()) << 32U) | random();
}

/// The loop for as long as there is a driver on it: a lookup may take longer.
struct LoopGate {
  std::mutex mutex;
  asio::io_context* loop = nullptr;
};

class MqttSubscriber final : public Driver, public SubscriberHost {
 public:
  MqttSubscriber(MqttDriverOptions options, DriverContext context, std::unique_ptr<MessageDecoder> decoder,
                 LookUpHost look_up)
      : options_(std::move(options)),
        context_(std::move(context)),
        look_up_(std::move(look_up)),
        subscriptions_(broker_subscriptions(decoder->subscriptions())),
        inbox_({.ack = MessageAck::durable, .bytes_max = static_cast<std::size_t>(options_.queue_bytes)},
               std::move(decoder), *context_.clock, context_.wake),
        timer_(*context_.loop),
        backoff_(options_.broker.reconnect_first, options_.broker.reconnect_most, jitter_seed()),
        slow_backoff_(options_.broker.reconnect_most, options_.broker.reconnect_most, jitter_seed()),
        read_buffer_(kReadBufferBytes, '\0') {
    gate_->loop = context_.loop;
    shared_ = {context_.loop, context_.clock, &inbox_, &read_buffer_, [this] { connection_changed(); }};
  }
  ~MqttSubscriber() override {
    *alive_ = false;
    stopped_ = true;
    {
      const std::lock_guard lock(gate_->mutex);
      gate_->loop = nullptr;
    }
    if (const auto connection = connection_) {
      connection->say_goodbye();
      connection->close();  // nobody turns the loop for it any more
    }
  }

  const std::string& name() const override { return options_.name; }
  Result<void> start() override;
  void stop() override;
  bool collect(Intake& into) override;
  void settled() override;
  bool waits_for_durable() const override { return true; }
  bool is_leaving() const override { return connection_ && connection_->is_leaving(); }
  void durable(std::uint64_t count) override;
  DriverStatus status() const override;

  // SubscriberHost.
  Ticket take(const mqtt::PublishPacket& publish) override;
  Ticket refuse_too_large(std::string_view topic, std::uint64_t bytes) override;

 private:
  void connect();
  void connect_to(const Result<HostAddresses>& found);
  Result<std::optional<mqtt::TlsChannel>> make_channel();
  void connection_changed();
  LinkState why_ended(const BrokerConnection& connection) const;
  bool ask_rebirths();
  void report(const LinkState& state);
  void fail(const LinkState& state);
  void arm(BootTime deadline);
  void tick();
  void resume();
  void leave_when_acknowledged();

  const MqttDriverOptions options_;
  const DriverContext context_;
  const LookUpHost look_up_;
  const std::vector<mqtt::Subscription> subscriptions_;
  Inbox inbox_;
  std::unique_ptr<LeftQueue> left_;  // until it is in the log, durable
  std::vector<DriverEvent> queue_events_;
  asio::steady_timer timer_;
  Backoff backoff_;
  Backoff slow_backoff_;
  std::string read_buffer_;
  BrokerContext shared_;
  std::shared_ptr<LoopGate> gate_ = std::make_shared<LoopGate>();
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);

  BootTime armed_for_{};
  std::uint64_t times_armed_ = 0;
  std::shared_ptr<BrokerConnection> connection_;
  std::size_t addresses_failed_ = 0;  // the next try begins with another one
  mqtt::LinkReport report_{options_.broker};
  LinkNews news_;
  std::uint64_t rebirths_asked_ = 0;
  std::uint64_t rebirths_unasked_ = 0;
  ComplaintFilter complaints_;
  bool held_back_ = false;
  bool stopped_ = false;
};

// What an earlier process has acknowledged comes before what the broker has.
Result<void> MqttSubscriber::start() {
  auto left = LeftQueue::open(options_, context_, inbox_.decoder(), queue_events_);
  if (!left) return tl::unexpected(left.error());
  left_ = std::move(*left);
  if (left_ || !queue_events_.empty()) context_.wake();
  if (!left_) connect();
  return {};
}

// Asio's own resolver keeps a thread that its loop waits for at the end, for as long as a name server does not answer.
// What the lookup's thread has read of the disk, which may stall, the core's finds in memory.
void MqttSubscriber::connect() {
  if (stopped_) return;
  std::optional<mqtt::TlsOptions> tls;
  if (mqtt::wants_tls(options_.broker.uri)) tls = options_.broker.tls;
  look_up_(mqtt::host_of(options_.broker.uri), [this, gate = gate_, alive = alive_, tls](Result<HostAddresses> found) {
    if (tls) mqtt::warm_files(*tls);
    const std::lock_guard lock(gate->mutex);
    if (gate->loop == nullptr) return;
    asio::post(*gate->loop, [this, alive, found = std::move(found)] {
      if (*alive) connect_to(found);
    });
  });
}

// Files are read anew, so that a certificate that was renewed is shown at the next connection.
void MqttSubscriber::connect_to(const Result<HostAddresses>& found) {
  if (stopped_ || connection_) return;
  const std::string unusable = mqtt::unusable_files(options_.broker);
  if (!unusable.empty()) return fail({false, LinkProblem::unusable_file, unusable});
  if (!found) {
    return fail({false, LinkProblem::unreachable,
                 "the name \"" + clip(mqtt::host_of(options_.broker.uri)) + "\" has no address (" +
                     found.error().message + "): check it and the name server"});
  }
  auto channel = make_channel();
  if (!channel) return fail({false, LinkProblem::unusable_file, channel.error().message});
  auto addresses = mqtt::broker_endpoints(*found, mqtt::port_of(options_.broker.uri), addresses_failed_);
  auto session = std::make_unique<SubscriberSession>(*this, options_, subscriptions_, context_.clock->boot_now());
  arm(session->deadline());
  connection_ = std::make_shared<BrokerConnection>(shared_, std::move(session), std::move(*channel));
  const auto connection = connection_;
  connection->open(std::move(addresses), options_.broker.connect_timeout);
}

Result<std::optional<mqtt::TlsChannel>> MqttSubscriber::make_channel() {
  if (!mqtt::wants_tls(options_.broker.uri)) return std::nullopt;
  const auto client = mqtt::TlsClient::make(options_.broker.tls);
  if (!client) return tl::unexpected(client.error());
  auto channel = (*client)->connect(mqtt::host_of(options_.broker.uri));
  if (!channel) return tl::unexpected(channel.error());
  return std::optional<mqtt::TlsChannel>(std::move(*channel));
}

void MqttSubscriber::connection_changed() {
  if (!connection_) return;
  if (!connection_->is_over()) {
    if (connection_->link()) report(*connection_->link());
    held_back_ = held_back_ || !inbox_.wants_messages();
    // It was the CONNACK's, which may have much more time than a sign of life.
    if (const BootTime deadline = connection_->deadline(); deadline < armed_for_) arm(deadline);
    if (ask_rebirths()) resume();
    return;
  }
  const auto ended = std::exchange(connection_, nullptr);
  const auto connected_at = ended->session().connected_at();
  if (connected_at && ended->session().is_subscribed()) {
    backoff_.note_held(context_.clock->boot_now() - *connected_at);
  }
  if (!connected_at) ++addresses_failed_;
  fail(why_ended(*ended));
}

LinkState MqttSubscriber::why_ended(const BrokerConnection& connection) const {
  const auto link = connection.link();
  if (link && !link->up) return *link;
  const auto connected_at = connection.session().connected_at();
  if (connected_at) return mqtt::lost_link(context_.clock->boot_now() - *connected_at, options_.broker);
  return mqtt::explain(connection.failure(), options_.broker);
}

void MqttSubscriber::report(const LinkState& state) {
  if (report_.note(state, context_.clock->boot_now()) && news_.note(state)) context_.wake();
}

void MqttSubscriber::fail(const LinkState& state) {
  if (stopped_) return;
  report(state);
  const Duration pause = mqtt::needs_a_person(state.problem) ? slow_backoff_.next() : backoff_.next();
  arm(context_.clock->boot_now() + pause);
}

// One timer: for the connection, or for the next one.
void MqttSubscriber::arm(BootTime deadline) {
  armed_for_ = deadline;
  timer_.expires_after(std::max<Duration>(deadline - context_.clock->boot_now(), kTickLeast));
  timer_.async_wait([this, alive = alive_, number = ++times_armed_](const boost::system::error_code& cancelled) {
    if (*alive && !cancelled && number == times_armed_) tick();
  });
}

void MqttSubscriber::tick() {
  const auto connection = connection_;
  if (!connection) return connect();
  connection->tick(context_.clock->boot_now());
  if (connection == connection_ && !connection->is_over()) arm(connection->deadline());
}

// The connection stays, so that what becomes durable on the way out is still acknowledged.
void MqttSubscriber::stop() {
  if (std::exchange(stopped_, true)) return;
  timer_.cancel();
  if (!connection_) return;
  connection_->stop_reading();
  leave_when_acknowledged();
}

void MqttSubscriber::leave_when_acknowledged() {
  const auto connection = connection_;
  if (!connection || connection->session().unacknowledged() > 0) return;
  connection->say_goodbye();
  if (!connection->is_over()) return arm(connection->deadline());
  connection_ = nullptr;
}

bool MqttSubscriber::collect(Intake& into) {
  for (DriverEvent& event : news_.take_events()) into.events.push_back(std::move(event));
  for (DriverEvent& event : std::exchange(queue_events_, {})) into.events.push_back(std::move(event));
  if (left_ && !left_->is_taken()) return left_->collect(into);
  held_back_ = held_back_ || !inbox_.wants_messages();
  return inbox_.collect(into, inbox_.messages());
}

void MqttSubscriber::settled() {
  inbox_.settled();
  if (left_) {
    const bool was_taken = left_->is_taken();
    left_->settled();
    if (!was_taken && left_->is_taken()) connect();
  }
  if (std::exchange(held_back_, false)) resume();
}

void MqttSubscriber::durable(std::uint64_t count) {
  inbox_.durable(count);
  if (left_ && left_->durable(count)) left_.reset();
  resume();
}

void MqttSubscriber::resume() {
  const auto connection = connection_;
  if (!connection) return;
  connection->resume();
  if (stopped_) leave_when_acknowledged();
}

Ticket MqttSubscriber::take(const mqtt::PublishPacket& publish) {
  inbox_.take(publish.topic, publish.payload, publish.retain, publish.duplicate);
  ask_rebirths();
  return inbox_.taken();
}

// For whom there is no connection yet is asked with the next one that the broker has subscribed: births are to come
// here. True when there is something to be sent, which a session in the middle of receiving sends by itself.
bool MqttSubscriber::ask_rebirths() {
  MessageDecoder& decoder = inbox_.decoder();
  if (!decoder.wants_rebirths() || stopped_ || !connection_ || !connection_->link() || !connection_->link()->up) {
    return false;
  }
  for (const SparkplugNodeName& node : decoder.take_rebirths()) {
    const bool is_asked =
        connection_->session().publish_at_most_once(rebirth_topic(node), rebirth_payload(context_.clock->wall_now()));
    ++(is_asked ? rebirths_asked_ : rebirths_unasked_);
    log_info(options_.name, "{} the Sparkplug node {}/{} for a rebirth{}", is_asked ? "asks" : "cannot ask",
             clip(node.group), clip(node.node), is_asked ? "" : ": the broker does not take the command");
  }
  return true;
}

Ticket MqttSubscriber::refuse_too_large(std::string_view topic, std::uint64_t bytes) {
  inbox_.decoder().count(Refusal::too_large, 1);
  if (const auto left_out = complaints_.admit(drivers::name(Refusal::too_large), context_.clock->boot_now())) {
    log_warning(options_.name, "{}{}", too_large_text(topic, bytes), since_last_line(*left_out));
  }
  return inbox_.taken();
}

DriverStatus MqttSubscriber::status() const {
  DriverStatus status;
  status.up = news_.is_working() && !stopped_;
  status.detail = stopped_ ? "stopped" : news_.link().detail;
  status.refused = inbox_.decoder().refused();
  status.remarked = inbox_.decoder().remarked();
  if (rebirths_asked_ > 0) status.remarked["rebirth_asked"] = rebirths_asked_;
  if (rebirths_unasked_ > 0) status.refused["rebirth_unasked"] = rebirths_unasked_;
  status.queue_bytes = inbox_.bytes();
  status.queue_capacity_bytes = inbox_.bytes_max();
  if (left_) {
    status.queue_bytes += left_->used();
    status.queue_capacity_bytes += left_->capacity();
  }
  return status;
}

}  // namespace

Result<std::unique_ptr<Driver>> make_mqtt_subscriber(MqttDriverOptions options, DriverContext context,
                                                     LookUpHost look_up) {
  auto decoder = MessageDecoder::make(options, *context.tags, context.text_bytes_max);
  if (!decoder) return tl::unexpected(decoder.error());
  return std::make_unique<MqttSubscriber>(std::move(options), std::move(context), std::move(*decoder),
                                          std::move(look_up));
}

}  // namespace tidegate::drivers
