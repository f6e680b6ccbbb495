#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "core/reading.h"
#include "core/time.h"
#include "drivers/mqtt/queue_entry.h"
#include "drivers/mqtt/refusal.h"
#include "drivers/mqtt/sparkplug_births.h"
#include "drivers/mqtt/sparkplug_topic.h"
#include "mqtt/sparkplug_payload.h"

namespace tidegate::drivers {

/// What SparkplugIngest tells its owner while it takes a message.
class SparkplugSink {
 public:
  struct TagOrWhyNot {
    TagId tag = kNoTag;
    Refusal problem = Refusal::none;
  };

  virtual ~SparkplugSink() = default;
  virtual TagOrWhyNot claim(const std::string& path) = 0;
  virtual void put(Reading reading, std::string_view name) = 0;
  virtual void refuse(Refusal why, std::string_view detail) = 0;
};

/// How much is remembered, so that nobody can make it grow without end.
struct SparkplugLimits {
  std::size_t nodes_max = 1024;
  std::size_t devices_max = 4096;  // of all nodes
  std::size_t payload_metrics_max = 10'000;
  std::size_t metrics_max = 65'536;  // of all births
  std::size_t name_bytes_max = std::size_t{8} * 1024 * 1024;
  std::size_t last_text_bytes_max = 256;              // a longer one is not there again when its device dies
  std::size_t repeats_known_max = 16'384;             // messages that are known when a broker sends them again
  Duration silence_least = std::chrono::minutes(10);  // before a node that is born can be forgotten
};

struct SparkplugNodeName {
  std::string group;
  std::string node;
};

/// The host side of Sparkplug B 3.0: births, data and deaths of edge nodes and devices become readings of the tags
/// GROUP/NODE[/DEVICE]/METRIC. It remembers what births say, in memory only, and whom to ask for a rebirth: where the
/// order of messages has a gap or a birth was not seen, aliases name nothing until the next one. A death gives every
/// metric its last value again, bad for being not connected, at the time of arrival. Where there is no room, nodes that
/// are dead go first, then whoever was silent for longest and for `silence_least`: its death would be told by nobody,
/// and so its metrics are given their last value again, uncertain for being stale.
/// What a broker sends again after a reconnect was taken already, and says nothing about the order.
/// Passive; one thread.
class SparkplugIngest {
 public:
  explicit SparkplugIngest(SparkplugLimits limits = {}) : limits_(limits) {}

  /// `message.received` is the time of arrival, `latest` the latest one that a metric can be of.
  void take(const QueueEntry& message, WallTime latest, BootTime now, SparkplugSink& sink);

  /// Nodes to be asked for a rebirth since the last call: one in ten seconds at most, and ever less often while no
  /// birth comes.
  std::vector<SparkplugNodeName> take_rebirths() { return std::exchange(rebirths_, {}); }

  bool wants_rebirths() const { return !rebirths_.empty(); }

  std::size_t nodes() const { return nodes_.size(); }
  std::size_t metrics_remembered() const { return metrics_; }

 private:
  struct Message;  // one that is being taken

  bool note_repeat(const QueueEntry& entry);
  void take_from(Message& message, SparkplugNode& node);
  SparkplugNode* node_of(Message& message);
  bool make_room_for_node(Message& message);
  bool forget_dead_node(BootTime now);
  bool forget_silent_node(Message& message, bool with_devices);
  bool has_room_for(Message& message, std::size_t name_bytes);
  SparkplugBirth* birth_of(Message& message, SparkplugNode& node);
  void check_order(Message& message, SparkplugNode& node);
  static void distrust(SparkplugNode& node);
  void distrust(const SparkplugTopic& topic);
  void begin_session(Message& message, SparkplugNode& node);
  void end_session(Message& message, SparkplugNode& node);
  void end_device(Message& message, SparkplugNode& node);
  void take_birth(Message& message, SparkplugNode& node, SparkplugBirth& birth);
  void take_alias(Message& message, SparkplugBirth& birth, std::uint64_t alias, BornMetric& born);
  void take_data(Message& message, SparkplugNode& node, SparkplugBirth& birth);
  BornMetric* define(Message& message, SparkplugBirth& birth, const mqtt::SparkplugMetric& metric);
  BornMetric* named(Message& message, SparkplugNode& node, SparkplugBirth& birth, const mqtt::SparkplugMetric& metric);
  bool take_metric(Message& message, mqtt::SparkplugMetric& metric, BornMetric& born);
  void claim(const Message& message, BornMetric& born);
  void tell_end(Message& message, const SparkplugBirth& birth, Quality quality, Reason reason);
  void tell_death(Message& message, const SparkplugBirth& birth);
  void forget_devices(SparkplugNode& node);
  void forget(SparkplugBirth& birth);
  void ask_rebirth(const Message& message, SparkplugNode& node);

  const SparkplugLimits limits_;
  std::unordered_map<std::string, SparkplugNode> nodes_;  // by "GROUP/NODE"
  std::size_t devices_ = 0;
  std::size_t metrics_ = 0;
  std::size_t name_bytes_ = 0;
  std::vector<SparkplugNodeName> rebirths_;
  std::vector<std::uint64_t> taken_;  // digests of the last messages, in a ring
  std::size_t taken_end_ = 0;         // behind the newest of them
  std::size_t repeated_ = 0;          // behind the one that was sent again last: the next one mostly follows it
  enum class Source : std::uint8_t { none, node, device };
  std::vector<Source> sources_;  // by tag: whose metric came first, for as long as the process runs
};

/// The NCMD that asks a node for a rebirth: its topic, and its payload of that time.
std::string rebirth_topic(const SparkplugNodeName& node);
std::string rebirth_payload(WallTime now);

}  // namespace tidegate::drivers
