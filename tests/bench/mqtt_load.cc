// A load for whatever forwards between two brokers: publishes numbered readings to the first and looks for them behind
// the second.
//   mqtt_load --from PORT --to PORT --count N [--batch READINGS_A_MESSAGE] [--rate A_SECOND] [--devices N] [--listen
//   FILTER]
//             [--wait SECONDS]
// A reading's value is its number, so any output that keeps `"value":NUMBER` can be checked. Prints one JSON object;
// exits 1 when something did not arrive or something else did.
#include <mosquitto.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

namespace {

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
  bool connected = false;
  bool subscribed = false;
  std::uint64_t acknowledged = 0;
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

class Publisher {
 public:
  Publisher(State& state, const Options& options)
      : state_(state), options_(options), sent_at_(options.count), client_(Receiver::make("bench-publisher", this)) {
    mosquitto_max_inflight_messages_set(client_, 1'000);
    mosquitto_connect_callback_set(client_, [](mosquitto*, void* self, int) {
      State& shared = static_cast<Publisher*>(self)->state_;
      const std::lock_guard lock(shared.mutex);
      shared.connected = true;
      shared.changed.notify_all();
    });
    mosquitto_publish_callback_set(
        client_, [](mosquitto*, void* self, int) { static_cast<Publisher*>(self)->note_acknowledged(); });
  }

  mosquitto* client() { return client_; }
  const std::vector<Clock::time_point>& sent_at() const { return sent_at_; }

  // False when the broker stops to acknowledge.
  bool publish_all() {
    const auto began = Clock::now();
    for (std::uint64_t number = 0, message = 0; number < options_.count; number += options_.batch, ++message) {
      if (!wait_for_turn(number, message, began)) return false;
      const std::string payload = make_payload(number);
      const std::string topic = "bench/dev-" + std::to_string(message % options_.devices) + "/temp";
      mosquitto_publish(client_, nullptr, topic.c_str(), static_cast<int>(payload.size()), payload.data(), 1, false);
    }
    return true;
  }

 private:
  void note_acknowledged() {
    const std::lock_guard lock(state_.mutex);
    ++state_.acknowledged;
    if (state_.acknowledged % 100 == 0) state_.changed.notify_all();
  }

  bool wait_for_turn(std::uint64_t number, std::uint64_t message, Clock::time_point began) {
    std::unique_lock lock(state_.mutex);
    if (options_.rate > 0) {
      const std::chrono::duration<double> offset(static_cast<double>(number) / options_.rate);
      const auto due = began + std::chrono::duration_cast<Clock::duration>(offset);
      state_.changed.wait_until(lock, due, [due] { return Clock::now() >= due; });
    }
    return state_.changed.wait_for(lock, std::chrono::duration<double>(options_.wait),
                                   [&] { return message < state_.acknowledged + options_.window; });
  }

  std::string make_payload(std::uint64_t first) {
    const auto last = std::min(first + options_.batch, options_.count);
    std::string text;
    for (std::uint64_t number = first; number < last; ++number) {
      sent_at_[number] = Clock::now();
      if (number > first) text += ',';
      text += "{\"ts\":" + std::to_string(1'760'000'000'000 + number) + ",\"value\":" + std::to_string(number) + "}";
    }
    return options_.batch == 1 ? text : "{\"readings\":[" + text + "]}";
  }

  State& state_;
  const Options& options_;
  std::vector<Clock::time_point> sent_at_;
  mosquitto* client_;
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
  Publisher publisher(state, options);
  if (!connect(receiver.client(), options.to) || !connect(publisher.client(), options.from)) return 1;
  {
    std::unique_lock lock(state.mutex);
    const auto up = [&] { return state.connected && state.subscribed; };
    if (!state.changed.wait_for(lock, std::chrono::seconds(10), up)) return 1;
  }
  if (!publisher.publish_all()) std::fprintf(stderr, "mqtt_load: the broker acknowledges nothing any more\n");
  wait_for_all(state, receiver, options);
  const int result = report(state, publisher, receiver, options);
  std::fflush(stdout);
  for (mosquitto* client : {publisher.client(), receiver.client()}) {
    mosquitto_disconnect(client);
    mosquitto_loop_stop(client, true);
  }
  return result;
}
