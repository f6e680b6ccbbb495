#include "tests/support/sparkplug_host.h"

#include <mosquitto.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <sstream>
#include <stdexcept>
#include <utility>

#include "core/clock.h"

namespace tidegate::testing {
namespace {

constexpr auto kPatience = std::chrono::seconds(10);
constexpr std::size_t kMetricsMost = 100'000;
constexpr std::size_t kRepeatedMost = 100;  // more than a broker has on its way to a client

mosquitto* make_client(void* owner) {
  static const int initialised = mosquitto_lib_init();
  static std::atomic<int> number{0};
  const std::string id = "sparkplug-host-" + std::to_string(::getpid()) + "-" + std::to_string(++number);
  mosquitto* client = initialised == MOSQ_ERR_SUCCESS ? mosquitto_new(id.c_str(), false, owner) : nullptr;
  if (client == nullptr) throw std::runtime_error("libmosquitto gave no client");
  mosquitto_reconnect_delay_set(client, 1, 1, false);
  return client;
}

std::uint64_t bd_seq_of(const mqtt::SparkplugPayload& payload) {
  for (const auto& metric : payload.metrics) {
    const auto* number = std::get_if<std::uint64_t>(&metric.value);
    if (metric.name == "bdSeq" && number != nullptr) return *number;
  }
  return ~std::uint64_t{0};
}

}  // namespace

std::size_t SparkplugReport::count(std::string_view topic) const {
  return static_cast<std::size_t>(std::count(topics.begin(), topics.end(), topic));
}

SparkplugHost::SparkplugHost(std::uint16_t port) : port_(port), client_(make_client(this)) {
  mosquitto_connect_callback_set(client_, [](mosquitto* client, void* self, int code) {
    auto& host = *static_cast<SparkplugHost*>(self);
    const std::lock_guard lock(host.mutex_);
    host.may_repeat_ = host.newest_;
    if (code == 0) mosquitto_subscribe(client, nullptr, "spBv1.0/+/#", 1);
  });
  mosquitto_subscribe_callback_set(client_, [](mosquitto*, void* self, int, int, const int*) {
    auto& host = *static_cast<SparkplugHost*>(self);
    const std::lock_guard lock(host.mutex_);
    host.subscribed_ = true;
    host.changed_.notify_all();
  });
  mosquitto_message_callback_set(client_, [](mosquitto*, void* self, const mosquitto_message* message) {
    auto& host = *static_cast<SparkplugHost*>(self);
    const std::lock_guard lock(host.mutex_);
    host.take(message->topic,
              {static_cast<const char*>(message->payload), static_cast<std::size_t>(message->payloadlen)});
    host.changed_.notify_all();
  });
}

SparkplugHost::~SparkplugHost() {
  mosquitto_disconnect(client_);
  mosquitto_loop_stop(client_, true);
  mosquitto_destroy(client_);
}

void SparkplugHost::start() {
  const int result = mosquitto_connect(client_, "127.0.0.1", port_, 30);
  if (result != MOSQ_ERR_SUCCESS || mosquitto_loop_start(client_) != MOSQ_ERR_SUCCESS) {
    throw std::runtime_error("broker at port " + std::to_string(port_) + ": " + mosquitto_strerror(result));
  }
  std::unique_lock lock(mutex_);
  if (!changed_.wait_for(lock, kPatience, [this] { return subscribed_; })) {
    throw std::runtime_error("Sparkplug host: the broker takes no subscription");
  }
}

SparkplugReport SparkplugHost::report() const {
  const std::lock_guard lock(mutex_);
  return report_;
}

bool SparkplugHost::wait_for(const std::function<bool(const SparkplugReport&)>& wanted,
                             std::chrono::milliseconds patience) {
  std::unique_lock lock(mutex_);
  return changed_.wait_for(lock, patience, [&] { return wanted(report_); });
}

void SparkplugHost::publish(const std::string& topic, const std::string& payload, bool retain) {
  mosquitto_publish(client_, nullptr, topic.c_str(), static_cast<int>(payload.size()), payload.data(), 1, retain);
}

void SparkplugHost::command(const std::string& group, const std::string& to, std::vector<mqtt::SparkplugMetric> metrics,
                            bool retain) {
  mqtt::SparkplugPayload payload;
  const auto now = SystemClock().wall_now().time_since_epoch();
  payload.timestamp = static_cast<std::uint64_t>(std::chrono::floor<std::chrono::milliseconds>(now).count());
  payload.metrics = std::move(metrics);
  publish("spBv1.0/" + group + "/" + to, mqtt::encode_sparkplug(payload), retain);
}

std::optional<std::uint64_t> SparkplugHost::alias(const std::string& node, const std::string& metric) const {
  const std::lock_guard lock(mutex_);
  const auto found = nodes_.find(node);
  if (found == nodes_.end()) return std::nullopt;
  for (const auto& [alias, named] : found->second.aliases) {
    if (named.first == metric) return alias;
  }
  return std::nullopt;
}

void SparkplugHost::publish_state(const std::string& host, bool online, std::int64_t timestamp) {
  publish(
      "spBv1.0/STATE/" + host,
      std::string("{\"online\":") + (online ? "true" : "false") + ",\"timestamp\":" + std::to_string(timestamp) + "}",
      true);
}

void SparkplugHost::take(const std::string& topic, std::string_view bytes) {
  const std::string rest = topic.substr(topic.find('/') + 1);
  report_.topics.push_back(rest);
  std::istringstream levels(rest);
  std::string group;
  Message message;
  std::getline(levels, group, '/');
  std::getline(levels, message.kind, '/');
  std::getline(levels, message.node, '/');
  std::getline(levels, message.device, '/');
  if (group == "STATE" || message.kind.ends_with("CMD")) return;
  auto decoded = mqtt::decode_sparkplug(bytes, kMetricsMost);
  if (!decoded) return complain(topic + ": " + decoded.error().message);
  message.payload = std::move(*decoded);
  if (is_repeat(topic, bytes)) return;
  Node& node = nodes_[message.node];
  if (message.kind == "NDEATH") return take_death(node, message);
  look_at_number(node, message);
  if (message.kind.ends_with("BIRTH")) return take_birth(node, message);
  take_data(node, message);
}

// To a client that comes back a broker first sends again what it had no acknowledgement for. libmosquitto does not tell
// of the DUP flag.
bool SparkplugHost::is_repeat(const std::string& topic, std::string_view bytes) {
  std::string whole = topic + '\n';
  whole += bytes;
  const auto known = std::find(may_repeat_.begin(), may_repeat_.end(), whole);
  if (known != may_repeat_.end()) {
    may_repeat_.erase(known);
    return true;
  }
  may_repeat_.clear();
  newest_.push_back(std::move(whole));
  if (newest_.size() > kRepeatedMost) newest_.pop_front();
  return false;
}

void SparkplugHost::look_at_number(Node& node, const Message& message) {
  if (message.kind == "NBIRTH") node.next_seq = 0;
  if (message.payload.seq != node.next_seq) {
    complain(message.kind + " has seq " + std::to_string(message.payload.seq.value_or(999)) + " and not " +
             std::to_string(node.next_seq));
  }
  node.next_seq = (message.payload.seq.value_or(0) + 1) % 256;
}

void SparkplugHost::take_birth(Node& node, const Message& message) {
  if (message.kind == "NBIRTH") {
    const std::uint64_t next = node.next_seq;
    node = Node{};
    node.next_seq = next;
    node.is_alive = true;
    node.bd_seq = bd_seq_of(message.payload);
    report_.births.push_back(node.bd_seq);
    if (watcher_.born) watcher_.born();
  } else if (!node.is_alive) {
    complain("DBIRTH of a node that is not alive");
  }
  node.devices[message.device] = true;
  for (const auto& metric : message.payload.metrics) {
    if (!metric.name || metric.type == mqtt::SparkplugType::unknown) complain("a birth without name or type");
    if (!metric.alias) continue;
    const auto known = node.aliases.find(*metric.alias);
    const std::string name = message.device + "/" + metric.name.value_or("");
    if (known != node.aliases.end() && known->second.first != name) complain("an alias of two metrics: " + name);
    node.aliases[*metric.alias] = {name, metric.type};
  }
}

void SparkplugHost::take_data(Node& node, const Message& message) {
  if (!node.is_alive || node.devices.count(message.device) == 0) complain(message.kind + " before its birth");
  for (const auto& metric : message.payload.metrics) {
    const auto known = node.aliases.find(metric.alias.value_or(0));
    if (known == node.aliases.end() || metric.name) {
      complain(message.kind + " with an unknown alias");
      continue;
    }
    if (!known->second.first.starts_with(message.device + "/")) complain("the alias of another device");
    SparkplugValueSeen seen{metric.timestamp.value_or(0), metric.value, known->second.second, metric.is_historical, {}};
    if (const auto properties = mqtt::decode_sparkplug_properties(metric.properties)) {
      for (const auto& property : *properties) seen.properties[property.key] = property.value;
    } else {
      complain("properties: " + properties.error().message);
    }
    if (watcher_.came) {
      watcher_.came(known->second.first, seen);
      continue;
    }
    report_.data[message.node + "/" + known->second.first].push_back(std::move(seen));
  }
}

void SparkplugHost::take_death(Node& node, const Message& message) {
  const std::uint64_t bd_seq = bd_seq_of(message.payload);
  report_.deaths.push_back(bd_seq);
  if (node.is_alive && node.bd_seq == bd_seq) node.is_alive = false;
}

}  // namespace tidegate::testing
