// Sensors for a listener or a broker: many connections that publish readings with QoS 1 and keep a window of
// unacknowledged messages full, on one thread.
//   listener_load --port PORT [--connections N] [--window N] [--messages N] [--batch READINGS_A_MESSAGE] [--idle N]
//                 [--rate A_SECOND]
// Prints one JSON object: messages and readings a second until the last acknowledgement, and the time from publish to
// acknowledgement. With --idle it opens that many connections more that say nothing. Exits 1 when an acknowledgement is
// missing.
#include <poll.h>
#include <sys/resource.h>

#include <algorithm>
#include <charconv>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <deque>
#include <memory>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

#include "tests/bench/mqtt_socket.h"

namespace {

namespace mqtt = tidegate::mqtt;
using tidegate::bench::MqttSocket;
using Clock = std::chrono::steady_clock;

constexpr int kPatienceMilliseconds = 30'000;

struct Options {
  int port = 0;
  std::uint64_t connections = 50;
  std::uint64_t window = 1000;
  std::uint64_t messages = 1'000'000;
  std::uint64_t batch = 1;
  std::uint64_t idle = 0;
  double rate = 0;  // 0: as fast as the windows allow
};

template <class Number>
bool read_number(std::string_view text, Number& into) {
  const auto [end, problem] = std::from_chars(text.data(), text.data() + text.size(), into);
  return problem == std::errc() && end == text.data() + text.size();
}

bool read_option(std::string_view name, std::string_view value, Options& options) {
  if (name == "--port") return read_number(value, options.port);
  if (name == "--connections") return read_number(value, options.connections) && options.connections > 0;
  if (name == "--window") return read_number(value, options.window) && options.window > 0 && options.window < 60'000;
  if (name == "--messages") return read_number(value, options.messages);
  if (name == "--batch") return read_number(value, options.batch) && options.batch > 0;
  if (name == "--idle") return read_number(value, options.idle);
  return name == "--rate" && read_number(value, options.rate);
}

class Sensor {
 public:
  Sensor(const Options& options, std::uint64_t number, std::uint64_t messages)
      : socket_(options.port, "load-" + std::to_string(number)), window_(options.window), to_send_(messages) {
    std::string payload = "{\"value\":20.00}";
    if (options.batch > 1) {
      payload = "{\"readings\":[";
      for (std::uint64_t i = 0; i < options.batch; ++i) payload += i == 0 ? "{\"value\":20.00}" : ",{\"value\":20.00}";
      payload += "]}";
    }
    mqtt::PublishPacket publish;
    const std::string topic = "load/dev-" + std::to_string(number) + "/temp";
    publish.topic = topic;
    publish.payload = payload;
    publish.qos = 1;
    publish.packet_id = 1;
    mqtt::encode(publish, tidegate::bench::kMqttVersion, message_);
    id_at_ = message_.size() - payload.size() - 2;
    for (std::size_t at = message_.find("20.00", id_at_); at != std::string::npos; at = message_.find("20.", at + 1)) {
      digits_at_.push_back(at + 3);
    }
  }

  int fd() const { return socket_.fd(); }
  bool is_done() const { return to_send_ == 0 && sent_at_.empty(); }
  bool has_unsent() { return !socket_.out().empty(); }

  /// Publishes at most `budget` messages; how many.
  std::uint64_t publish(std::uint64_t budget, Clock::time_point now) {
    std::uint64_t count = 0;
    std::string& out = socket_.out();
    for (; connected_ && count < budget && to_send_ > 0 && sent_at_.size() < window_ &&
           out.size() < MqttSocket::kUnsentMax;
         ++count) {
      next_id_ = static_cast<std::uint16_t>(next_id_ % 60'000 + 1);
      message_[id_at_] = static_cast<char>(next_id_ >> 8U);
      message_[id_at_ + 1] = static_cast<char>(next_id_);
      write_values();
      out += message_;
      sent_at_.push_back(now);
      --to_send_;
    }
    send();
    return count;
  }
  void send() { socket_.send(); }
  void receive(Clock::time_point now, std::vector<float>& milliseconds) {
    socket_.receive([&](const mqtt::RawPacket& packet) { take(packet, now, milliseconds); });
  }

 private:
  // Two decimals that go up and down, so that neither side can live on what it saw before.
  void write_values() {
    for (const std::size_t at : digits_at_) {
      value_ = (value_ + 7) % 100;
      message_[at] = static_cast<char>('0' + value_ / 10);
      message_[at + 1] = static_cast<char>('0' + value_ % 10);
    }
  }
  void take(const mqtt::RawPacket& packet, Clock::time_point now, std::vector<float>& milliseconds) {
    if (packet.type == mqtt::PacketType::connack) connected_ = true;
    if (packet.type != mqtt::PacketType::puback || sent_at_.empty()) return;
    milliseconds.push_back(std::chrono::duration<float, std::milli>(now - sent_at_.front()).count());
    sent_at_.pop_front();
  }

  MqttSocket socket_;
  const std::uint64_t window_;
  std::uint64_t to_send_;
  std::string message_;
  std::size_t id_at_ = 0;
  std::vector<std::size_t> digits_at_;
  unsigned value_ = 0;
  std::uint16_t next_id_ = 0;
  bool connected_ = false;
  std::deque<Clock::time_point> sent_at_;
};

class Load {
 public:
  explicit Load(const Options& options) : options_(options) {
    for (std::uint64_t i = 0; i < options.connections; ++i) {
      sensors_.push_back(std::make_unique<Sensor>(options, i, options.messages / options.connections));
      polls_.push_back({sensors_.back()->fd(), POLLIN, 0});
    }
    for (std::uint64_t i = 0; i < options.idle; ++i) add_idle(i);
    milliseconds_.reserve(options.messages);
  }

  /// False when it waited in vain.
  bool run() {
    began_ = Clock::now();
    while (std::any_of(sensors_.begin(), sensors_.end(), [](const auto& sensor) { return !sensor->is_done(); })) {
      publish();
      for (std::size_t i = 0; i < polls_.size(); ++i) {
        polls_[i].events = static_cast<short>(POLLIN | (sensors_[i]->has_unsent() ? POLLOUT : 0));
      }
      const int ready = ::poll(polls_.data(), polls_.size(), options_.rate > 0 ? 1 : kPatienceMilliseconds);
      if (ready == 0 && options_.rate <= 0) return false;
      const auto now = Clock::now();
      for (std::size_t i = 0; i < polls_.size(); ++i) {
        if ((polls_[i].revents & POLLIN) != 0) sensors_[i]->receive(now, milliseconds_);
        if ((polls_[i].revents & POLLOUT) != 0) sensors_[i]->send();
      }
    }
    return true;
  }

  void print() {
    const double seconds = std::chrono::duration<double>(Clock::now() - began_).count();
    std::sort(milliseconds_.begin(), milliseconds_.end());
    const auto at = [this](double share) {
      return milliseconds_.empty()
                 ? 0.0F
                 : milliseconds_[static_cast<std::size_t>(share * static_cast<double>(milliseconds_.size() - 1))];
    };
    const auto acknowledged = static_cast<double>(milliseconds_.size());
    std::printf(
        "{\"acknowledged\":%zu,\"seconds\":%.3f,\"messages_a_second\":%.0f,\"readings_a_second\":%.0f,\"p50_ms\":%.2f,"
        "\"p99_ms\":%.2f,\"most_ms\":%.2f}\n",
        milliseconds_.size(), seconds, acknowledged / seconds,
        acknowledged * static_cast<double>(options_.batch) / seconds, static_cast<double>(at(0.5)),
        static_cast<double>(at(0.99)), static_cast<double>(at(1.0)));
  }

 private:
  // Connects and says nothing more.
  void add_idle(std::uint64_t number) {
    idle_.push_back(std::make_unique<MqttSocket>(options_.port, "idle-" + std::to_string(number)));
    idle_.back()->send();
    pollfd answer{idle_.back()->fd(), POLLIN, 0};
    bool accepted = false;
    if (::poll(&answer, 1, kPatienceMilliseconds) == 1) {
      idle_.back()->receive(
          [&](const mqtt::RawPacket& packet) { accepted = packet.type == mqtt::PacketType::connack; });
    }
    if (!accepted) throw std::runtime_error("an idle connection was refused");
  }
  void publish() {
    const auto now = Clock::now();
    if (options_.rate <= 0) {
      for (const auto& sensor : sensors_) sensor->publish(UINT64_MAX, now);
      return;
    }
    const auto due = static_cast<std::uint64_t>(std::chrono::duration<double>(now - began_).count() * options_.rate);
    while (published_ < due) {
      const std::uint64_t count = sensors_[turn_++ % sensors_.size()]->publish(1, now);
      if (count == 0 && turn_ % sensors_.size() == 0) break;
      published_ += count;
    }
  }

  const Options options_;
  std::vector<std::unique_ptr<Sensor>> sensors_;
  std::vector<pollfd> polls_;
  std::vector<std::unique_ptr<MqttSocket>> idle_;
  std::vector<float> milliseconds_;
  Clock::time_point began_;
  std::uint64_t published_ = 0;
  std::size_t turn_ = 0;
};

}  // namespace

int main(int argc, char** argv) {
  Options options;
  for (int i = 1; i + 1 < argc; i += 2) {
    if (read_option(argv[i], argv[i + 1], options)) continue;
    std::fprintf(stderr, "listener_load: %s %s: no such option, or a value that is wrong\n", argv[i], argv[i + 1]);
    return 64;
  }
  rlimit limit{};
  ::getrlimit(RLIMIT_NOFILE, &limit);
  limit.rlim_cur = limit.rlim_max;
  ::setrlimit(RLIMIT_NOFILE, &limit);
  try {
    Load load(options);
    const bool complete = load.run();
    load.print();
    return complete ? 0 : 1;
  } catch (const std::exception& problem) {
    std::fprintf(stderr, "listener_load: %s\n", problem.what());
    return 1;
  }
}
