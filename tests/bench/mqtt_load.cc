// A load for whatever forwards between two brokers: publishes numbered readings to the first and looks for them behind
// the second.
//   mqtt_load --from PORT --to PORT --count N [--batch READINGS_A_MESSAGE] [--rate A_SECOND] [--devices N] [--listen
//   FILTER]
//             [--wait SECONDS]
// A reading's value is its number, so any output that keeps `"value":NUMBER` can be checked. Prints one JSON object;
// exits 1 when something did not arrive or something else did.
#include <mosquitto.h>
#include <poll.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <cstdio>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "tests/bench/mqtt_socket.h"

namespace {

namespace mqtt = tidegate::mqtt;
using tidegate::bench::MqttSocket;

using Clock = std::chrono::steady_clock;

struct Options {
  int from = 0;
  int to = 0;
  std::uint64_t count = 100'000;
  std::uint64_t batch = 1;
  double rate = 0;
  std::uint64_t devices = 100;
  std::uint64_t window = 5'000;  // messages sent and not yet acknowledged
  double wait = 30;              // without anything new
  std::string listen = "#";
};

template <class Number>
bool read_number(std::string_view text, Number& into) {
  const auto [end, problem] = std::from_chars(text.data(), text.data() + text.size(), into);
  return problem == std::errc() && end == text.data() + text.size();
}

bool read_option(std::string_view name, std::string_view value, Options& options) {
  if (name == "--from") return read_number(value, options.from);
  if (name == "--to") return read_number(value, options.to);
  if (name == "--count") return read_number(value, options.count);
  if (name == "--batch") return read_number(value, options.batch) && options.batch > 0;
  if (name == "--rate") return read_number(value, options.rate);
  if (name == "--devices") return read_number(value, options.devices) && options.devices > 0;
  if (name == "--wait") return read_number(value, options.wait);
  if (name != "--listen") return false;
  options.listen = value;
  return true;
}

// What both sides share: one lock, one condition.
struct State {
  std::mutex mutex;
  std::condition_variable changed;
  bool subscribed = false;
};

class Receiver {
 public:
  Receiver(State& state, const Options& options)
      : state_(state), listen_(options.listen), arrived_at_(options.count), client_(make("bench-receiver", this)) {
    mosquitto_connect_callback_set(client_, [](mosquitto* client, void* self, int) {
      mosquitto_subscribe(client, nullptr, static_cast<Receiver*>(self)->listen_.c_str(), 1);
    });
    mosquitto_subscribe_callback_set(client_, [](mosquitto*, void* self, int, int, const int*) {
      State& shared = static_cast<Receiver*>(self)->state_;
      const std::lock_guard lock(shared.mutex);
      shared.subscribed = true;
      shared.changed.notify_all();
    });
    mosquitto_message_callback_set(client_, [](mosquitto*, void* self, const mosquitto_message* message) {
      static_cast<Receiver*>(self)->take(
          {static_cast<const char*>(message->payload), static_cast<std::size_t>(message->payloadlen)});
    });
  }

  static mosquitto* make(const char* role, void* owner) {
    const std::string id = std::string(role) + "-" + std::to_string(::getpid());
    return mosquitto_new(id.c_str(), false, owner);
  }

  mosquitto* client() { return client_; }
  std::uint64_t distinct() const { return distinct_; }  // with the lock held
  const std::vector<Clock::time_point>& arrived_at() const { return arrived_at_; }

  std::uint64_t messages = 0, bytes = 0, repeats = 0, alien = 0, misordered = 0;
  Clock::time_point last{};

 private:
  void take(std::string_view payload) {
    constexpr std::string_view kKey = "\"value\":";
    const auto now = Clock::now();
    const std::lock_guard lock(state_.mutex);
    ++messages;
    bytes += payload.size();
    for (auto at = payload.find(kKey); at != std::string_view::npos; at = payload.find(kKey, at)) {
      at += kKey.size();
      std::uint64_t number = 0;
      const auto [end, problem] = std::from_chars(payload.data() + at, payload.data() + payload.size(), number);
      const bool whole =
          problem == std::errc() && (end == payload.data() + payload.size() || *end == ',' || *end == '}');
      note(whole ? number : arrived_at_.size(), now);
    }
    state_.changed.notify_all();
  }

  void note(std::uint64_t number, Clock::time_point now) {
    if (number >= arrived_at_.size()) {
      ++alien;
    } else if (arrived_at_[number] != Clock::time_point{}) {
      ++repeats;
    } else {
      arrived_at_[number] = last = now;
      ++distinct_;
      if (number < newest_) ++misordered;
      newest_ = std::max(newest_, number);
    }
  }

  State& state_;
  std::string listen_;
  std::vector<Clock::time_point> arrived_at_;
  std::uint64_t distinct_ = 0;
  std::uint64_t newest_ = 0;
  mosquitto* client_;
};

// Writes as much at once as the window allows: libmosquitto makes a system call a message, and would be what limits.
class Publisher {
 public:
  Publisher(const Options& options)
      : options_(options),
        sent_at_(options.count),
        socket_(options.from, "bench-publisher-" + std::to_string(::getpid())) {}

  const std::vector<Clock::time_point>& sent_at() const { return sent_at_; }

  // False when the broker stops to acknowledge.
  bool publish_all() {
    const auto began = Clock::now();
    while (acknowledged_ * options_.batch < options_.count) {
      const auto due = publish(began);
      socket_.send();
      if (!wait(due)) return false;
    }
    return true;
  }

 private:
  // Returns when the next message is due, if it is its time that it waits for.
  std::optional<Clock::time_point> publish(Clock::time_point began) {
    while (connected_ && next_ < options_.count && messages_ < acknowledged_ + options_.window &&
           socket_.out().size() < MqttSocket::kUnsentMax) {
      if (options_.rate > 0) {
        const std::chrono::duration<double> offset(static_cast<double>(next_) / options_.rate);
        const auto due = began + std::chrono::duration_cast<Clock::duration>(offset);
        if (due > Clock::now()) return due;
      }
      const std::string payload = make_payload();
      const std::string topic = "bench/dev-" + std::to_string(messages_ % options_.devices) + "/temp";
      mqtt::PublishPacket packet;
      packet.topic = topic;
      packet.payload = payload;
      packet.qos = 1;
      packet.packet_id = static_cast<std::uint16_t>(messages_ % 60'000 + 1);
      mqtt::encode(packet, tidegate::bench::kMqttVersion, socket_.out());
      ++messages_;
    }
    return std::nullopt;
  }

  // For room in the socket, an acknowledgement, or until `due`.
  bool wait(std::optional<Clock::time_point> due) {
    pollfd poll{socket_.fd(), static_cast<short>(POLLIN | (socket_.out().empty() ? 0 : POLLOUT)), 0};
    const auto patience = std::chrono::duration_cast<std::chrono::nanoseconds>(std::chrono::duration<double>(
        due ? std::chrono::duration<double>(*due - Clock::now()).count() : options_.wait));
    const auto nanoseconds = std::max<std::int64_t>(0, patience.count());
    const timespec timeout{nanoseconds / 1'000'000'000, nanoseconds % 1'000'000'000};
    if (::ppoll(&poll, 1, &timeout, nullptr) == 0) return due.has_value();
    if ((poll.revents & POLLIN) == 0) return true;
    socket_.receive([this](const mqtt::RawPacket& packet) {
      if (packet.type == mqtt::PacketType::connack) connected_ = true;
      if (packet.type == mqtt::PacketType::puback) ++acknowledged_;
    });
    return true;
  }

  std::string make_payload() {
    const auto last = std::min(next_ + options_.batch, options_.count);
    std::string text;
    for (bool first = true; next_ < last; ++next_, first = false) {
      sent_at_[next_] = Clock::now();
      if (!first) text += ',';
      text += "{\"ts\":" + std::to_string(1'760'000'000'000 + next_) + ",\"value\":" + std::to_string(next_) + "}";
    }
    return options_.batch == 1 ? text : "{\"readings\":[" + text + "]}";
  }

  const Options& options_;
  std::vector<Clock::time_point> sent_at_;
  MqttSocket socket_;
  bool connected_ = false;
  std::uint64_t next_ = 0;
  std::uint64_t messages_ = 0;
  std::uint64_t acknowledged_ = 0;
};

bool connect(mosquitto* client, int port) {
  if (mosquitto_connect(client, "127.0.0.1", port, 60) == MOSQ_ERR_SUCCESS &&
      mosquitto_loop_start(client) == MOSQ_ERR_SUCCESS) {
    return true;
  }
  std::fprintf(stderr, "mqtt_load: no broker at port %d\n", port);
  return false;
}

void wait_for_all(State& state, const Receiver& receiver, const Options& options) {
  std::unique_lock lock(state.mutex);
  std::uint64_t before = 0;
  do {
    before = receiver.distinct();
    state.changed.wait_for(lock, std::chrono::duration<double>(options.wait),
                           [&] { return receiver.distinct() > before || receiver.distinct() == options.count; });
  } while (receiver.distinct() > before && receiver.distinct() < options.count);
}

double percentile_ms(const std::vector<double>& sorted, double share) {
  if (sorted.empty()) return -1;
  return sorted[std::min(sorted.size() - 1, static_cast<std::size_t>(share * static_cast<double>(sorted.size())))];
}

int report(State& state, const Publisher& publisher, const Receiver& receiver, const Options& options) {
  const std::lock_guard lock(state.mutex);
  std::vector<double> delays;
  for (std::size_t i = 0; i < options.count; ++i) {
    if (receiver.arrived_at()[i] == Clock::time_point{}) continue;
    delays.push_back(
        std::chrono::duration<double, std::milli>(receiver.arrived_at()[i] - publisher.sent_at()[i]).count());
  }
  std::sort(delays.begin(), delays.end());
  const double seconds = std::chrono::duration<double>(receiver.last - publisher.sent_at()[0]).count();
  const auto print = [](const char* name, std::uint64_t value) {
    std::printf("\"%s\":%llu,", name, static_cast<unsigned long long>(value));
  };
  std::printf("{");
  print("count", options.count);
  print("received", receiver.distinct());
  print("lost", options.count - receiver.distinct());
  print("repeats", receiver.repeats);
  print("misordered", receiver.misordered);
  print("alien", receiver.alien);
  print("messages", receiver.messages);
  print("bytes", receiver.bytes);
  std::printf("\"seconds\":%.3f,\"rate\":%.0f,\"p50_ms\":%.2f,\"p99_ms\":%.2f,\"p999_ms\":%.2f}\n", seconds,
              seconds > 0 ? static_cast<double>(receiver.distinct()) / seconds : 0, percentile_ms(delays, 0.5),
              percentile_ms(delays, 0.99), percentile_ms(delays, 0.999));
  return receiver.distinct() == options.count && receiver.alien == 0 ? 0 : 1;
}

}  // namespace

int main(int argc, char** argv) {
  Options options;
  bool good = argc % 2 == 1;
  for (int i = 1; good && i + 1 < argc; i += 2) good = read_option(argv[i], argv[i + 1], options);
  if (!good || options.from == 0 || options.to == 0) {
    std::fprintf(stderr,
                 "usage: mqtt_load --from PORT --to PORT --count N [--batch N] [--rate N] [--devices N] "
                 "[--listen FILTER] [--wait SECONDS]\n");
    return 64;
  }
  mosquitto_lib_init();
  State state;
  Receiver receiver(state, options);
  if (!connect(receiver.client(), options.to)) return 1;
  {
    std::unique_lock lock(state.mutex);
    if (!state.changed.wait_for(lock, std::chrono::seconds(10), [&] { return state.subscribed; })) return 1;
  }
  int result = 1;
  try {
    Publisher publisher(options);
    if (!publisher.publish_all()) std::fprintf(stderr, "mqtt_load: the broker acknowledges nothing any more\n");
    wait_for_all(state, receiver, options);
    result = report(state, publisher, receiver, options);
    std::fflush(stdout);
  } catch (const std::exception& problem) {
    std::fprintf(stderr, "mqtt_load: %s\n", problem.what());
  }
  mosquitto_disconnect(receiver.client());
  mosquitto_loop_stop(receiver.client(), true);
  return result;
}
