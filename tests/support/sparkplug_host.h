#pragma once

#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "mqtt/sparkplug_payload.h"

struct mosquitto;

namespace tidegate::testing {

/// What a host has of one metric, in the order in which it came.
struct SparkplugValueSeen {
  std::uint64_t timestamp = 0;
  mqtt::SparkplugValue value{};
  mqtt::SparkplugType type = mqtt::SparkplugType::unknown;
  bool is_historical = false;
  std::map<std::string, mqtt::SparkplugValue> properties{};
};

/// What came of nodes, and what was wrong with it.
struct SparkplugReport {
  std::map<std::string, std::vector<SparkplugValueSeen>> data{};  // NDATA and DDATA, by "NODE/DEVICE/METRIC"
  std::vector<std::string> topics{};                              // of all messages, without "spBv1.0/"
  std::vector<std::uint64_t> births{};                            // bdSeq of each NBIRTH
  std::vector<std::uint64_t> deaths{};                            // bdSeq of each NDEATH
  std::vector<std::string> defects{};                             // numbers out of order, data before births, ...

  std::size_t count(std::string_view topic) const;
};

/// A Sparkplug host application that trusts nothing: it reads births, finds metrics by alias, and looks at each number.
/// Over libmosquitto, with a persistent session: the broker may go and come back.
class SparkplugHost {
 public:
  explicit SparkplugHost(std::uint16_t port);
  SparkplugHost(const SparkplugHost&) = delete;
  SparkplugHost& operator=(const SparkplugHost&) = delete;
  ~SparkplugHost();

  /// Whoever wants to see it as it comes, on the client's thread: each NBIRTH of any node, and each metric of NDATA and
  /// DDATA by "DEVICE/METRIC". The report then has no `data`. Before start().
  struct Watcher {
    std::function<void()> born;
    std::function<void(const std::string& metric, const SparkplugValueSeen& value)> came;
  };
  void watch(Watcher watcher) { watcher_ = std::move(watcher); }

  /// Returns when the broker has taken the subscription; throws std::runtime_error when it does not.
  void start();
  SparkplugReport report() const;
  /// Waits until the report is as wanted.
  bool wait_for(const std::function<bool(const SparkplugReport&)>& wanted, std::chrono::milliseconds patience);
  void publish(const std::string& topic, const std::string& payload, bool retain = false);
  /// Publishes a command of these metrics, "NCMD/NODE" or "DCMD/NODE/DEVICE" of the group.
  void command(const std::string& group, const std::string& to, std::vector<mqtt::SparkplugMetric> metrics,
               bool retain = false);
  /// The alias that the newest birth gave to "DEVICE/METRIC" of the node; nothing before that.
  std::optional<std::uint64_t> alias(const std::string& node, const std::string& metric) const;
  /// Publishes what a host says of itself, retained.
  void publish_state(const std::string& host, bool online, std::int64_t timestamp);

 private:
  struct Node {
    bool is_alive = false;
    std::uint64_t bd_seq = 0;
    std::uint64_t next_seq = 0;
    std::map<std::string, bool> devices;
    std::map<std::uint64_t, std::pair<std::string, mqtt::SparkplugType>> aliases;  // to "DEVICE/METRIC"
  };
  struct Message {
    std::string kind;
    std::string node;
    std::string device;
    mqtt::SparkplugPayload payload;
  };

  void take(const std::string& topic, std::string_view bytes);
  void take_birth(Node& node, const Message& message);
  void take_data(Node& node, const Message& message);
  void take_death(Node& node, const Message& message);
  bool is_repeat(const std::string& topic, std::string_view bytes);
  void look_at_number(Node& node, const Message& message);
  void complain(const std::string& text) { report_.defects.push_back(text); }

  const std::uint16_t port_;
  mosquitto* client_;
  mutable std::mutex mutex_;
  std::condition_variable changed_;
  bool subscribed_ = false;
  std::map<std::string, Node> nodes_;
  std::deque<std::string> newest_;      // messages
  std::deque<std::string> may_repeat_;  // of those, since the connection stands
  SparkplugReport report_;
  Watcher watcher_{};
};

}  // namespace tidegate::testing
