#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <csignal>
#include <iostream>
#include <memory>
#include <string>

#include "core/clock.h"
#include "core/log.h"
#include "core/text.h"
#include "daemon/commands/commands.h"
#include "daemon/event_loop.h"
#include "mqtt/client.h"

namespace tidegate::daemon {
namespace {

constexpr Duration kStep = std::chrono::milliseconds(10);
constexpr std::uint64_t kUnacknowledgedMax = 10'000;
constexpr Duration kStopGrace = std::chrono::seconds(5);

std::string fill_in(std::string text, std::string_view placeholder, const std::string& by) {
  const std::size_t at = text.find(placeholder);
  if (at != std::string::npos) text.replace(at, placeholder.size(), by);
  return text;
}

// Sensors in one process: message n is of tag n % tags of device (n / tags) % devices; values are slow sines.
class SimulatedSensors {
 public:
  SimulatedSensors(SimulateMqttOptions options, EventLoop& loop, const Clock& clock)
      : options_(std::move(options)), loop_(loop), clock_(clock), timer_(loop.make_timer()) {
    mqtt::BrokerOptions broker;
    broker.uri = options_.broker;
    broker.client_id = "tidegate-simulate-" + std::to_string(::getpid());
    mqtt::ClientHandlers handlers;
    handlers.published = [this](std::uint64_t ticket, bool ok) {
      loop_.post([this, ticket, ok] { on_published(ticket, ok); });
    };
    handlers.link = [this](const mqtt::LinkState& state) { loop_.post([this, state] { on_link(state); }); };
    client_ = mqtt::make_paho_client(broker, {}, handlers);
  }

  void start() {
    client_->start();
    begun_ = clock_.boot_now();
    step();
  }
  void stop() {
    timer_->cancel();
    client_->stop(kStopGrace);
    loop_.post([this] {
      std::cout << "published " << published_ << " acknowledged " << acknowledged_ << " failed " << failed_
                << std::endl;
      loop_.stop();
    });
  }

 private:
  void step() {
    const double elapsed = std::chrono::duration<double>(clock_.boot_now() - begun_).count();
    auto due = static_cast<std::uint64_t>(elapsed * options_.rate);
    if (options_.count > 0) due = std::min(due, options_.count);
    // Without a link nothing is published: a sensor has no memory.
    if (!up_) published_from_ = due - published_;
    while (up_ && published_ + published_from_ < due && published_ - acknowledged_ - failed_ < kUnacknowledgedMax)
      publish();
    if (options_.count > 0 && due >= options_.count && acknowledged_ + failed_ >= published_) return stop();
    timer_->arm(kStep, [this] { step(); });
  }

  void publish() {
    const std::uint64_t n = published_++;
    const auto tag = n % options_.tags;
    const auto device = n / options_.tags % options_.devices;
    std::string topic = fill_in(options_.topic, "{device}", "sensor-" + std::to_string(device + 1));
    topic = fill_in(std::move(topic), "{tag}", "value-" + std::to_string(tag + 1));
    const double phase = static_cast<double>(n) / options_.rate / 20.0 + static_cast<double>(device);
    std::string payload = "{\"ts\":";
    append_number(payload, std::chrono::floor<std::chrono::milliseconds>(clock_.wall_now().time_since_epoch()).count());
    payload += ",\"value\":";
    append_number(payload, std::round((60.0 + 40.0 * std::sin(phase)) * 100.0) / 100.0);
    payload += '}';
    client_->publish(n, std::move(topic), std::move(payload));
  }

  void on_published(std::uint64_t, bool ok) { ++(ok ? acknowledged_ : failed_); }
  void on_link(const mqtt::LinkState& state) {
    up_ = state.up;
    if (!state.up) log_warning("simulate", "{}: {}", options_.broker, state.detail);
  }

  SimulateMqttOptions options_;
  EventLoop& loop_;
  const Clock& clock_;
  std::unique_ptr<Timer> timer_;
  std::unique_ptr<mqtt::Client> client_;
  BootTime begun_{};
  bool up_ = false;
  std::uint64_t published_ = 0;
  std::uint64_t published_from_ = 0;  // due while there was no link, and left out
  std::uint64_t acknowledged_ = 0;
  std::uint64_t failed_ = 0;
};

}  // namespace

int simulate_mqtt(const SimulateMqttOptions& options) {
  set_up_logging(LogLevel::info);
  const SystemClock clock;
  EventLoop loop;
  SimulatedSensors sensors(options, loop, clock);
  for (const int signal_number : {SIGTERM, SIGINT}) loop.on_signal(signal_number, [&sensors] { sensors.stop(); });
  sensors.start();
  loop.run();
  return kExitDone;
}

}  // namespace tidegate::daemon
