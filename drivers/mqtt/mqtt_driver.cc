#include "drivers/mqtt/mqtt_driver.h"

#include <algorithm>
#include <atomic>
#include <mutex>
#include <optional>
#include <utility>

#include "core/file_system.h"
#include "core/log.h"
#include "core/text.h"
#include "drivers/mqtt/link_news.h"
#include "drivers/mqtt/message_decoder.h"
#include "drivers/mqtt/queue_intake.h"
#include "drivers/mqtt/shared_queue.h"
#include "mqtt/client.h"

namespace tidegate::drivers {
namespace {

constexpr Duration kStopGrace = std::chrono::seconds(5);

/// The half of the driver that the clients' thread uses. Handlers own it: one may still run when the driver is given
/// up. None waits: the thread is that of all clients.
class Inlet {
 public:
  Inlet(std::string driver, const Clock& clock, std::function<void()> wake)
      : driver_(std::move(driver)), clock_(&clock), wake_(std::move(wake)) {}

  void set_queue(std::unique_ptr<SharedQueue> queue) { queue_ = std::move(queue); }
  SharedQueue& queue() { return *queue_; }
  bool is_open() const { return queue_ != nullptr; }

  void wake() {
    const std::lock_guard lock(wake_mutex_);
    if (wake_) wake_();
  }
  /// What the driver was given goes with the driver.
  void outlive_driver() {
    static const SystemClock kClock;
    clock_ = &kClock;
    const std::lock_guard lock(wake_mutex_);
    wake_ = nullptr;
  }

  /// False: there is no room for it.
  bool take_message(std::string_view topic, std::string_view payload, bool retained, bool duplicate);
  void refuse_too_large(std::string_view topic, std::uint64_t bytes);
  void take_link(const mqtt::LinkState& state);

  mqtt::LinkState link() const {
    const std::lock_guard lock(link_mutex_);
    return news_.link();
  }
  std::vector<DriverEvent> take_events() {
    if (!has_events_.exchange(false)) return {};
    const std::lock_guard lock(link_mutex_);
    return news_.take_events();
  }
  std::uint64_t too_large() const { return too_large_.load(); }

 private:
  const std::string driver_;
  std::atomic<const Clock*> clock_;
  std::unique_ptr<SharedQueue> queue_;
  std::mutex wake_mutex_;
  std::function<void()> wake_;
  std::atomic<std::uint64_t> too_large_{0};
  ComplaintFilter complaints_;  // the clients' thread

  mutable std::mutex link_mutex_;
  LinkNews news_;
  std::atomic<bool> has_events_{false};
};

bool Inlet::take_message(std::string_view topic, std::string_view payload, bool retained, bool duplicate) {
  const Clock& clock = *clock_.load();
  const QueueEntry entry{topic, payload, clock.wall_now(), clock.boot_now(), retained, duplicate};
  const SharedQueue::Push pushed = queue_->push(entry);
  if (pushed == SharedQueue::Push::too_large) refuse_too_large(topic, payload.size());
  return pushed != SharedQueue::Push::full;
}

void Inlet::refuse_too_large(std::string_view topic, std::uint64_t bytes) {
  ++too_large_;
  if (const auto left_out = complaints_.admit("too_large", clock_.load()->boot_now())) {
    log_warning(driver_, "{}{}", too_large_text(topic, bytes), since_last_line(*left_out));
  }
}

void Inlet::take_link(const mqtt::LinkState& state) {
  {
    const std::lock_guard lock(link_mutex_);
    if (!news_.note(state)) return;
    has_events_ = true;
  }
  wake();
}

class MqttDriver final : public Driver {
 public:
  MqttDriver(MqttDriverOptions options, DriverContext context, std::unique_ptr<MessageDecoder> decoder)
      : options_(std::move(options)),
        context_(std::move(context)),
        decoder_(std::move(decoder)),
        inlet_(std::make_shared<Inlet>(options_.name, *context_.clock, context_.wake)) {}
  ~MqttDriver() override {
    stop();
    inlet_->outlive_driver();
  }

  const std::string& name() const override { return options_.name; }
  Result<void> start() override;
  void stop() override;
  void forget() override;
  bool collect(Intake& into) override;
  void settled() override {
    if (inlet_->is_open()) inlet_->queue().release();
  }
  DriverStatus status() const override;

 private:
  Result<void> open_queue();
  mqtt::ClientHandlers handlers() const;
  void ask_rebirths();

  const MqttDriverOptions options_;
  const DriverContext context_;
  const std::unique_ptr<MessageDecoder> decoder_;
  const std::shared_ptr<Inlet> inlet_;
  std::unique_ptr<mqtt::Client> client_;
  bool stopped_ = false;
  std::optional<QueueIntake> intake_;  // with the queue
  std::uint64_t rebirths_asked_ = 0;
  std::vector<DriverEvent> queue_events_;  // of its opening
};

Result<void> MqttDriver::open_queue() {
  const QueueFileOptions file = queue_file_options(options_, context_);
  std::vector<QueueRemark> remarks;
  auto queue = SharedQueue::open(
      file,
      [weak = std::weak_ptr<Inlet>(inlet_)] {
        if (const auto inlet = weak.lock()) inlet->wake();
      },
      remarks);
  queue_events_ = tell_remarks(options_.name, remarks);
  if (!queue) return tl::unexpected(queue.error());
  inlet_->set_queue(std::move(*queue));
  intake_.emplace(options_.name, file.path, inlet_->queue(), *decoder_, *context_.clock);
  return {};
}

mqtt::ClientHandlers MqttDriver::handlers() const {
  mqtt::ClientHandlers handlers;
  handlers.message = [inlet = inlet_](std::string_view topic, std::string_view payload, bool retained, bool duplicate) {
    return inlet->take_message(topic, payload, retained, duplicate);
  };
  handlers.message_too_large = [inlet = inlet_](std::string_view topic, std::uint64_t bytes) {
    inlet->refuse_too_large(topic, bytes);
  };
  handlers.link = [inlet = inlet_](const mqtt::LinkState& state) { inlet->take_link(state); };
  return handlers;
}

Result<void> MqttDriver::start() {
  if (auto opened = open_queue(); !opened) return opened;
  if (const std::uint64_t waiting = inlet_->queue().used(); waiting > 0) {
    log_info(options_.name, "{} of messages of a former run are taken first", format_size(waiting));
    inlet_->wake();
  } else if (!queue_events_.empty() || inlet_->queue().damaged_bytes() > 0) {
    inlet_->wake();
  }
  mqtt::BrokerOptions broker = options_.broker;
  broker.packet_bytes_max = static_cast<std::size_t>(inlet_->queue().largest());  // nobody has use for a larger one
  client_ = mqtt::make_client(std::move(broker), broker_subscriptions(decoder_->subscriptions()), handlers());
  client_->start();
  return {};
}

void MqttDriver::stop() {
  if (client_ && !stopped_) stopped_ = client_->stop(kStopGrace);
}

// What is in it was acknowledged; it stays for a driver of this name while it may not be in the log.
void MqttDriver::forget() {
  if (!stopped_ || !inlet_->is_open() || inlet_->queue().used() > 0) return;
  const std::string path = queue_file_options(options_, context_).path;
  if (const auto removed = PosixFileSystem().remove(path); !removed) {
    log_warning(options_.name, "its queue is empty and cannot be removed: {}", removed.error().message);
  }
}

bool MqttDriver::collect(Intake& into) {
  for (DriverEvent& event : inlet_->take_events()) into.events.push_back(std::move(event));
  for (DriverEvent& event : std::exchange(queue_events_, {})) into.events.push_back(std::move(event));
  if (!intake_) return false;
  const bool is_more = intake_->collect(into);
  ask_rebirths();
  return is_more;
}

// Whether the node hears it shows when it is born: what comes from it before asks again, some time later.
void MqttDriver::ask_rebirths() {
  if (!decoder_->wants_rebirths() || !client_ || stopped_ || !inlet_->link().up) return;
  for (const SparkplugNodeName& node : decoder_->take_rebirths()) {
    ++rebirths_asked_;
    client_->publish_at_most_once(rebirth_topic(node), rebirth_payload(context_.clock->wall_now()));
    log_info(options_.name, "asks the Sparkplug node {}/{} for a rebirth", clip(node.group), clip(node.node));
  }
}

DriverStatus MqttDriver::status() const {
  DriverStatus status;
  const mqtt::LinkState link = inlet_->link();
  status.up = LinkNews::is_working(link) && !stopped_;
  status.detail = stopped_ ? "stopped" : link.detail;
  status.refused = decoder_->refused();
  status.remarked = decoder_->remarked();
  if (const std::uint64_t count = inlet_->too_large(); count > 0)
    status.refused[drivers::name(Refusal::too_large)] = count;
  if (rebirths_asked_ > 0) status.remarked["rebirth_asked"] = rebirths_asked_;
  if (inlet_->is_open()) {
    status.queue_bytes = inlet_->queue().used();
    status.queue_capacity_bytes = inlet_->queue().capacity();
  }
  return status;
}

}  // namespace

Result<std::unique_ptr<Driver>> make_mqtt_driver(MqttDriverOptions options, DriverContext context) {
  auto decoder = MessageDecoder::make(options, *context.tags, context.text_bytes_max);
  if (!decoder) return tl::unexpected(decoder.error());
  return std::make_unique<MqttDriver>(std::move(options), std::move(context), std::move(*decoder));
}

Result<void> check_json_pointer(const std::string& pointer) {
  const auto parsed = JsonPointer::parse(pointer);
  if (!parsed) return tl::unexpected(parsed.error());
  return {};
}

}  // namespace tidegate::drivers
