#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <fstream>
#include <iostream>
#include <memory>
#include <optional>
#include <string>

#include "core/clock.h"
#include "core/log.h"
#include "daemon/commands/commands.h"
#include "daemon/commands/simulated_messages.h"
#include "daemon/config/values.h"
#include "daemon/event_loop.h"
#include "mqtt/client.h"

namespace tidegate::daemon {
namespace {

constexpr Duration kStep = std::chrono::milliseconds(10);
constexpr std::uint64_t kUnacknowledgedMax = 10'000;
constexpr Duration kStopGrace = std::chrono::seconds(5);

// Empty without a file.
std::string first_line(const std::string& path) {
  std::string line;
  if (!path.empty()) std::getline(std::ifstream(path), line);
  return line;
}

// Sensors in one process.
class SimulatedSensors {
 public:
  SimulatedSensors(SimulateMqttOptions options, mqtt::BrokerOptions broker, EventLoop& loop, const Clock& clock)
      : options_(std::move(options)), messages_(options_), loop_(loop), clock_(clock), timer_(loop.make_timer()) {
    broker.client_id = "tidegate-simulate-" + std::to_string(::getpid());
    broker.username = options_.username;
    broker.password = first_line(options_.password_file);
    broker.tls.ca_file = options_.ca_file;
    mqtt::ClientHandlers handlers;
    handlers.published = [this](std::uint64_t ticket, bool ok) {
      loop_.post([this, ticket, ok] { on_published(ticket, ok); });
    };
    handlers.link = [this](const mqtt::LinkState& state) { loop_.post([this, state] { on_link(state); }); };
    client_ = mqtt::make_client(broker, {}, handlers);
  }

  void start() {
    give_up_at_ =
        clock_.boot_now() + std::chrono::duration_cast<Duration>(std::chrono::duration<double>(options_.wait_seconds));
    client_->start();
    step();
  }
  void stop() {
    timer_->cancel();
    client_->stop(kStopGrace);
    loop_.post([this] {
      std::cout << "published " << published_ << " acknowledged " << acknowledged_ << " failed " << failed_
                << " faulty " << faulty_ << std::endl;
      loop_.stop();
    });
  }

  int exit_code() const { return exit_code_; }

 private:
  void step() {
    if (!begun_ && up_) begun_ = clock_.boot_now();
    if (!begun_ && clock_.boot_now() >= give_up_at_) {
      exit_code_ = report_failure(
          fmt::format("--broker {}: no connection within {} s: {}", options_.broker, options_.wait_seconds, why_down_));
      return stop();
    }
    const double elapsed = begun_ ? std::chrono::duration<double>(clock_.boot_now() - *begun_).count() : 0;
    auto due = static_cast<std::uint64_t>(elapsed * options_.rate);
    if (options_.count > 0) due = std::min(due, options_.count);
    // Without a link, once there was one, nothing is published: a sensor has no memory.
    if (!up_) published_from_ = due - published_;
    while (up_ && published_ + published_from_ < due && published_ - acknowledged_ - failed_ < kUnacknowledgedMax)
      publish();
    if (options_.count > 0 && due >= options_.count && acknowledged_ + failed_ >= published_) return stop();
    timer_->arm(kStep, [this] { step(); });
  }

  void publish() {
    const std::uint64_t n = published_++;
    auto message = messages_.message(n, clock_.wall_now());
    if (message.is_faulty) ++faulty_;
    client_->publish({n, std::move(message.topic), std::move(message.payload)});
  }

  void on_published(std::uint64_t, bool ok) { ++(ok ? acknowledged_ : failed_); }
  void on_link(const mqtt::LinkState& state) {
    up_ = state.up;
    why_down_ = state.detail;
  }

  const SimulateMqttOptions options_;
  const SimulatedMessages messages_;
  EventLoop& loop_;
  const Clock& clock_;
  std::unique_ptr<Timer> timer_;
  std::unique_ptr<mqtt::Client> client_;
  BootTime give_up_at_{};
  std::optional<BootTime> begun_;  // with the first link
  std::string why_down_ = "no answer";
  int exit_code_ = kExitDone;
  bool up_ = false;
  std::uint64_t published_ = 0;
  std::uint64_t published_from_ = 0;  // due while there was no link, and left out
  std::uint64_t acknowledged_ = 0;
  std::uint64_t failed_ = 0;
  std::uint64_t faulty_ = 0;  // of the published
};

}  // namespace

int simulate_mqtt(const SimulateMqttOptions& options) {
  set_up_logging(LogLevel::info);
  mqtt::BrokerOptions broker;
  if (!parse_broker_uri(options.broker, broker)) {
    report_failure("--broker \"" + options.broker + "\": allowed is mqtt://HOST[:PORT] or mqtts://HOST[:PORT]");
    return kExitUsage;
  }
  const SystemClock clock;
  EventLoop loop;
  SimulatedSensors sensors(options, std::move(broker), loop, clock);
  for (const int signal_number : {SIGTERM, SIGINT}) loop.on_signal(signal_number, [&sensors] { sensors.stop(); });
  sensors.start();
  loop.run();
  return sensors.exit_code();
}

}  // namespace tidegate::daemon
