#include "drivers/mqtt/sparkplug_ingest.h"

#include <algorithm>
#include <functional>
#include <limits>
#include <optional>
#include <span>
#include <utility>

#include "core/crc32c.h"
#include "core/text.h"
#include "drivers/mqtt/source_time.h"
#include "mqtt/sparkplug_value.h"

namespace tidegate::drivers {
namespace {

using mqtt::SparkplugMetric;
using mqtt::SparkplugType;

constexpr Duration kAskPauseLeast = std::chrono::seconds(10);
constexpr Duration kAskPauseMost = std::chrono::minutes(10);
constexpr std::uint64_t kSeqEnd = 256;
constexpr std::size_t kTagBytesMax = 255;
constexpr std::size_t kPathBytesMax = kTagBytesMax - 2;  // without a slash and a letter
constexpr std::string_view kBdSeq = "bdSeq";
constexpr std::string_view kRebirth = "Node Control/Rebirth";

std::optional<std::uint64_t> bd_seq_of(const mqtt::SparkplugPayload& payload) {
  for (const SparkplugMetric& metric : payload.metrics) {
    if (metric.name != kBdSeq) continue;
    if (const auto* narrow = std::get_if<std::uint32_t>(&metric.value)) return *narrow;
    if (const auto* wide = std::get_if<std::uint64_t>(&metric.value)) return *wide;
  }
  return std::nullopt;
}

bool is_birth(SparkplugMessage message) {
  return message == SparkplugMessage::nbirth || message == SparkplugMessage::dbirth;
}

bool is_death(SparkplugMessage message) {
  return message == SparkplugMessage::ndeath || message == SparkplugMessage::ddeath;
}

std::string path_of(const SparkplugTopic& topic) {
  std::string path = std::string(topic.group) + '/' + std::string(topic.node);
  if (!topic.device.empty()) path += '/' + std::string(topic.device);
  return path;
}

std::uint32_t crc_of(std::string_view text, std::uint32_t crc) {
  return crc32c(std::as_bytes(std::span(text.data(), text.size())), crc);
}

// Of two kinds, as size_t may have 32 bits.
std::uint64_t digest_of(const QueueEntry& entry) {
  const std::uint64_t hash = std::hash<std::string_view>{}(entry.payload);
  return hash << 32U | crc_of(entry.payload, crc_of(entry.topic, 0));
}

std::string label_of(const SparkplugMetric& metric) {
  if (metric.name && !metric.name->empty()) return *metric.name;
  return metric.alias ? "alias " + std::to_string(*metric.alias) : "a metric without a name";
}

Refusal refusal_for(mqtt::SparkplugValueProblem problem) {
  switch (problem) {
    case mqtt::SparkplugValueProblem::none:
      return Refusal::none;
    case mqtt::SparkplugValueProblem::missing:
      return Refusal::value_missing;
    case mqtt::SparkplugValueProblem::no_type:
      return Refusal::no_birth;
    case mqtt::SparkplugValueProblem::type_mismatch:
      return Refusal::type_mismatch;
    case mqtt::SparkplugValueProblem::bad_number:
      return Refusal::bad_number;
    case mqtt::SparkplugValueProblem::not_utf8:
      return Refusal::not_utf8;
    case mqtt::SparkplugValueProblem::unsupported_type:
      return Refusal::unsupported_type;
  }
  return Refusal::type_mismatch;
}

}  // namespace

struct SparkplugIngest::Message {
  const SparkplugTopic topic;
  const WallTime received;
  const WallTime latest;
  const BootTime now;
  SparkplugSink& sink;
  mqtt::SparkplugPayload payload{};
  SparkplugNode* node = nullptr;      // whose it is
  bool found_no_silent_node = false;  // looked for once a message, of either kind
  bool found_no_silent_devices = false;

  void put_time(const SparkplugMetric& metric, Reading& reading) const;
};

// A metric's own time, or failing that its payload's; what is historical is not of the time that it was sent at.
void SparkplugIngest::Message::put_time(const SparkplugMetric& metric, Reading& reading) const {
  reading.time = received;
  const auto given = metric.timestamp || metric.is_historical ? metric.timestamp : payload.timestamp;
  const auto downgrade = [&](Reason why) {
    if (reading.quality == Quality::bad) return;
    reading.quality = Quality::uncertain;
    reading.reason = why;
  };
  if (!given) {
    if (metric.is_historical) downgrade(Reason::stale);
    return;
  }
  std::optional<WallTime> time;
  if (*given <= static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max())) {
    time = source_time(static_cast<std::int64_t>(*given), TimeUnit::milliseconds);
  }
  if (time && *time <= latest) {
    reading.time = *time;
    reading.origin = TimeOrigin::source;
    return;
  }
  downgrade(Reason::none);
  sink.refuse(Refusal::bad_time, label_of(metric));
}

void SparkplugIngest::take(const QueueEntry& entry, WallTime latest, BootTime now, SparkplugSink& sink) {
  const auto topic = parse_sparkplug_topic(entry.topic);
  if (!topic) return sink.refuse(Refusal::no_such_topic, {});
  if (topic->message == SparkplugMessage::other) return;
  if (path_of(*topic).size() > kPathBytesMax) return sink.refuse(Refusal::tag_invalid, {});
  if (entry.retained) return sink.refuse(Refusal::retained_state, {});
  Message message{*topic, entry.received, latest, now, sink};
  const bool is_repeat = note_repeat(entry);
  auto payload = mqtt::decode_sparkplug(entry.payload, limits_.payload_metrics_max);
  if (!payload && is_repeat) return;
  if (!payload) {
    if (topic->message == SparkplugMessage::nbirth) distrust(*topic);
    const bool is_too_much = payload.error().code == ErrorCode::give_up_item;
    if (is_too_much) return sink.refuse(Refusal::too_many_metrics, "a payload that " + payload.error().message);
    return sink.refuse(Refusal::not_sparkplug, payload.error().message);
  }
  message.payload = std::move(*payload);
  SparkplugNode* node = node_of(message);
  if (node == nullptr) return;
  // Without a time, what is due may say the same as a message of before.
  const bool may_be_due = !message.payload.timestamp && node->next_seq && message.payload.seq == node->next_seq;
  if (is_repeat && !may_be_due) return;
  node->seen = now;
  message.node = node;
  take_from(message, *node);
}

// Whether a broker, whose acknowledgement was lost with the connection, sends what was taken already; else it is
// remembered. Repeats come in the order of the messages.
bool SparkplugIngest::note_repeat(const QueueEntry& entry) {
  const std::uint64_t digest = digest_of(entry);
  if (entry.duplicate) {
    const auto from = taken_.begin() + static_cast<std::ptrdiff_t>(std::min(repeated_, taken_.size()));
    auto found = std::find(from, taken_.end(), digest);
    if (found == taken_.end()) found = std::find(taken_.begin(), from, digest);
    if (found != taken_.end() && *found == digest) {
      repeated_ = static_cast<std::size_t>(found - taken_.begin()) + 1;
      return true;
    }
  }
  if (taken_end_ >= limits_.repeats_known_max) taken_end_ = 0;
  if (taken_end_ == taken_.size()) {
    taken_.push_back(digest);
  } else {
    taken_[taken_end_] = digest;
  }
  ++taken_end_;
  return false;
}

void SparkplugIngest::take_from(Message& message, SparkplugNode& node) {
  const SparkplugMessage kind = message.topic.message;
  if (kind == SparkplugMessage::ndeath) return end_session(message, node);
  if (kind == SparkplugMessage::nbirth) {
    begin_session(message, node);
  } else {
    check_order(message, node);
  }
  if (kind == SparkplugMessage::ddeath) return end_device(message, node);
  SparkplugBirth* birth = birth_of(message, node);
  if (birth == nullptr) return;
  is_birth(kind) ? take_birth(message, node, *birth) : take_data(message, node, *birth);
  // What was no birth and named nothing is not worth the room of a device.
  const auto device = node.devices.find(message.topic.device);
  if (is_birth(kind) || device == node.devices.end() || device->second.is_whole || birth->size() > 0) return;
  node.devices.erase(device);
  --devices_;
}

// The death of a node that nobody knows says nothing.
SparkplugNode* SparkplugIngest::node_of(Message& message) {
  const std::string key = std::string(message.topic.group) + '/' + std::string(message.topic.node);
  if (const auto found = nodes_.find(key); found != nodes_.end()) return &found->second;
  if (is_death(message.topic.message)) return nullptr;
  if (nodes_.size() >= limits_.nodes_max && !make_room_for_node(message)) {
    message.sink.refuse(Refusal::too_many_nodes, key);
    return nullptr;
  }
  SparkplugNode& node = nodes_[key];
  node.group = message.topic.group;
  node.name = message.topic.node;
  node.ask_pause = kAskPauseLeast;
  return &node;
}

bool SparkplugIngest::make_room_for_node(Message& message) {
  return forget_dead_node(message.now) || forget_silent_node(message, false);
}

// Of those of which there is nothing to remember, the one that has been silent for longest. One that was asked just now
// stays, or names without end would be asked without end.
bool SparkplugIngest::forget_dead_node(BootTime now) {
  auto oldest = nodes_.end();
  for (auto at = nodes_.begin(); at != nodes_.end(); ++at) {
    if (!at->second.is_empty() || (at->second.asked && now - *at->second.asked < kAskPauseLeast)) continue;
    if (oldest == nodes_.end() || at->second.seen < oldest->second.seen) oldest = at;
  }
  if (oldest == nodes_.end()) return false;
  nodes_.erase(oldest);
  return true;
}

// Whoever has something to say is kept from those who only invent names: what was born makes room for births only.
bool SparkplugIngest::forget_silent_node(Message& message, bool with_devices) {
  bool& found_none = with_devices ? message.found_no_silent_devices : message.found_no_silent_node;
  if (found_none || !is_birth(message.topic.message)) return false;
  auto oldest = nodes_.end();
  for (auto at = nodes_.begin(); at != nodes_.end(); ++at) {
    if (&at->second == message.node || at->second.is_empty()) continue;
    if (with_devices && at->second.devices.empty()) continue;
    if (oldest == nodes_.end() || at->second.seen < oldest->second.seen) oldest = at;
  }
  if (oldest == nodes_.end() || message.now - oldest->second.seen < limits_.silence_least) {
    found_none = true;
    return false;
  }
  SparkplugNode& node = oldest->second;
  const auto silence = std::chrono::duration_cast<std::chrono::seconds>(message.now - node.seen);
  message.sink.refuse(Refusal::node_forgotten,
                      oldest->first + ", silent for " + std::to_string(silence.count()) + " s,");
  tell_end(message, node.own, Quality::uncertain, Reason::stale);
  for (const auto& device : node.devices) tell_end(message, device.second, Quality::uncertain, Reason::stale);
  forget(node.own);
  forget_devices(node);
  nodes_.erase(oldest);
  return true;
}

SparkplugBirth* SparkplugIngest::birth_of(Message& message, SparkplugNode& node) {
  if (message.topic.device.empty()) return &node.own;
  if (const auto found = node.devices.find(message.topic.device); found != node.devices.end()) return &found->second;
  if (devices_ >= limits_.devices_max && !forget_silent_node(message, true)) {
    message.sink.refuse(Refusal::too_many_nodes, path_of(message.topic));
    return nullptr;
  }
  ++devices_;
  return &node.devices[std::string(message.topic.device)];
}

// What is missing may have been a birth that gave aliases to other metrics: none is trusted until the next one.
void SparkplugIngest::check_order(Message& message, SparkplugNode& node) {
  if (!node.next_seq) return ask_rebirth(message, node);
  const auto seq = message.payload.seq;
  if (seq == node.next_seq) {
    node.next_seq = (*seq + 1) % kSeqEnd;
    return;
  }
  message.sink.refuse(Refusal::sequence_gap, "seq " + (seq ? std::to_string(*seq) : "that is not there") + " where " +
                                                 std::to_string(*node.next_seq) + " was due");
  node.ask_pause = kAskPauseLeast;
  distrust(node);
  ask_rebirth(message, node);
}

void SparkplugIngest::distrust(SparkplugNode& node) {
  node.next_seq.reset();
  node.own.is_whole = false;
  for (auto& device : node.devices) device.second.is_whole = false;
}

// Its birth gave aliases that nobody knows, and what follows it may have the seq that was due before it.
void SparkplugIngest::distrust(const SparkplugTopic& topic) {
  const auto found = nodes_.find(std::string(topic.group) + '/' + std::string(topic.node));
  if (found != nodes_.end()) distrust(found->second);
}

void SparkplugIngest::begin_session(Message& message, SparkplugNode& node) {
  const auto bd_seq = bd_seq_of(message.payload);
  const bool is_other_session = node.bd_seq && bd_seq && *node.bd_seq != *bd_seq;
  for (auto& [name, device] : node.devices) {
    device.is_whole = false;
    // Its death did not come, or comes late and then is of no account.
    if (is_other_session) tell_death(message, device);
  }
  if (is_other_session) {
    node.ask_pause = kAskPauseLeast;
    forget_devices(node);
  }
  node.bd_seq = bd_seq;
  const auto seq = message.payload.seq;
  if (seq && *seq < kSeqEnd) {
    node.next_seq = (*seq + 1) % kSeqEnd;
    return;
  }
  node.next_seq.reset();
  message.sink.refuse(Refusal::sequence_gap, "a birth without a seq from 0 to 255");
}

void SparkplugIngest::end_session(Message& message, SparkplugNode& node) {
  const auto bd_seq = bd_seq_of(message.payload);
  if (node.bd_seq && bd_seq && *node.bd_seq != *bd_seq) {
    return message.sink.refuse(Refusal::death_of_other_birth, "bdSeq " + std::to_string(*bd_seq) + ", the birth's is " +
                                                                  std::to_string(*node.bd_seq) + ",");
  }
  tell_death(message, node.own);
  forget(node.own);
  for (const auto& device : node.devices) tell_death(message, device.second);
  forget_devices(node);
  node.bd_seq.reset();
  node.next_seq.reset();
  node.ask_pause = kAskPauseLeast;
}

void SparkplugIngest::end_device(Message& message, SparkplugNode& node) {
  const auto found = node.devices.find(message.topic.device);
  if (found == node.devices.end()) return;
  tell_death(message, found->second);
  forget(found->second);
  node.devices.erase(found);
  --devices_;
}

void SparkplugIngest::take_birth(Message& message, SparkplugNode& node, SparkplugBirth& birth) {
  forget(birth);
  birth.is_whole = node.next_seq.has_value();
  for (SparkplugMetric& metric : message.payload.metrics) {
    BornMetric* born = define(message, birth, metric);
    if (born == nullptr) continue;
    born->type = metric.type;
    born->is_of_protocol = message.topic.device.empty() && (born->name == kBdSeq || born->name == kRebirth);
    if (metric.alias) take_alias(message, birth, *metric.alias, *born);
    take_metric(message, metric, *born);
  }
}

// One a metric, so that aliases take no more room than metrics.
void SparkplugIngest::take_alias(Message& message, SparkplugBirth& birth, std::uint64_t alias, BornMetric& born) {
  if (born.has_alias && birth.by_alias(alias) != &born) {
    birth.is_cut_off = true;
    return message.sink.refuse(Refusal::unknown_alias,
                               born.name + ": alias " + std::to_string(alias) + " is its second one,");
  }
  born.has_alias = true;
  if (birth.give_alias(alias, born)) return;
  birth.is_cut_off = true;
  message.sink.refuse(Refusal::unknown_alias,
                      born.name + ": alias " + std::to_string(alias) + " is of another metric too,");
}

void SparkplugIngest::take_data(Message& message, SparkplugNode& node, SparkplugBirth& birth) {
  if (!birth.is_whole && !birth.is_cut_off) ask_rebirth(message, node);
  for (SparkplugMetric& metric : message.payload.metrics) {
    BornMetric* born = named(message, node, birth, metric);
    if (born != nullptr && !take_metric(message, metric, *born)) ask_rebirth(message, node);
  }
}

bool SparkplugIngest::has_room_for(Message& message, std::size_t name_bytes) {
  const auto has_room = [&] {
    return metrics_ < limits_.metrics_max && name_bytes_ + name_bytes <= limits_.name_bytes_max;
  };
  while (!has_room() && forget_silent_node(message, false)) {
  }
  return has_room();
}

// Where there is no room the metric is taken by nobody, since nothing would end it at its death.
BornMetric* SparkplugIngest::define(Message& message, SparkplugBirth& birth, const SparkplugMetric& metric) {
  if (!metric.name || metric.name->empty()) {
    message.sink.refuse(Refusal::name_missing, label_of(metric));
    return nullptr;
  }
  if (BornMetric* known = birth.by_name(*metric.name)) return known;
  if (path_of(message.topic).size() + 1 + metric.name->size() > kTagBytesMax) {  // no tag, and not worth its room
    birth.is_cut_off = true;
    message.sink.refuse(Refusal::tag_invalid, clip(*metric.name));
    return nullptr;
  }
  if (!has_room_for(message, metric.name->size())) {
    birth.is_cut_off = true;
    message.sink.refuse(Refusal::too_many_metrics, *metric.name);
    return nullptr;
  }
  ++metrics_;
  name_bytes_ += metric.name->size();
  return &birth.define(*metric.name);
}

BornMetric* SparkplugIngest::named(Message& message, SparkplugNode& node, SparkplugBirth& birth,
                                   const SparkplugMetric& metric) {
  if (metric.name && !metric.name->empty()) return define(message, birth, metric);
  if (!metric.alias) return define(message, birth, metric);  // refuses it
  if (!birth.is_whole) {
    message.sink.refuse(Refusal::no_birth, label_of(metric));
    return nullptr;
  }
  BornMetric* born = birth.by_alias(*metric.alias);
  if (born != nullptr) return born;
  message.sink.refuse(Refusal::unknown_alias, label_of(metric));
  if (!birth.is_cut_off) ask_rebirth(message, node);
  return nullptr;
}

// False when a birth would help.
bool SparkplugIngest::take_metric(Message& message, SparkplugMetric& metric, BornMetric& born) {
  if (born.is_of_protocol) return true;
  const SparkplugType type = metric.type == SparkplugType::unknown ? born.type : metric.type;
  Reading reading;
  if (metric.is_null) {
    reading.quality = Quality::bad;
  } else if (const Refusal why = refusal_for(mqtt::take_sparkplug_value(metric, type, reading.value));
             why != Refusal::none) {
    message.sink.refuse(why, born.name + " (" + mqtt::name_of_sparkplug_type(type) + ")");
    return why != Refusal::no_birth;
  }
  if (!born.has_tag_or_problem) claim(message, born);
  if (born.problem != Refusal::none) {
    message.sink.refuse(born.problem, born.name);
    return true;
  }
  reading.tag = born.tag;
  message.put_time(metric, reading);
  born.was_taken = true;
  if (!metric.is_historical) {
    const auto* text = std::get_if<std::string>(&reading.value);
    const bool is_long = text != nullptr && text->size() > limits_.last_text_bytes_max;
    born.last = is_long ? Value{} : reading.value;
  }
  message.sink.put(std::move(reading), born.name);
  return true;
}

// Neither a group nor a node nor a device has a slash in its name, a metric may: "a/b" of the node and "b" of its
// device "a" have the same path. It is of whichever came first, and stays so over rebirths: two sources never take
// turns.
void SparkplugIngest::claim(const Message& message, BornMetric& born) {
  const auto claimed = message.sink.claim(path_of(message.topic) + '/' + born.name);
  born.tag = claimed.tag;
  born.problem = claimed.problem;
  born.has_tag_or_problem = true;
  if (born.problem != Refusal::none) return;
  const auto index = static_cast<std::size_t>(born.tag);
  if (index >= sources_.size()) sources_.resize(index + 1, Source::none);
  const Source source = message.topic.device.empty() ? Source::node : Source::device;
  if (sources_[index] == Source::none) sources_[index] = source;
  if (sources_[index] != source) born.problem = Refusal::tag_of_other_metric;
}

void SparkplugIngest::tell_death(Message& message, const SparkplugBirth& birth) {
  tell_end(message, birth, Quality::bad, Reason::not_connected);
}

void SparkplugIngest::tell_end(Message& message, const SparkplugBirth& birth, Quality quality, Reason reason) {
  birth.for_each([&](const BornMetric& born) {
    if (!born.was_taken) return;
    Reading reading;
    reading.tag = born.tag;
    reading.quality = std::holds_alternative<std::monostate>(born.last) ? Quality::bad : quality;
    reading.reason = reason;
    reading.time = message.received;
    reading.value = born.last;
    message.sink.put(std::move(reading), born.name);
  });
}

void SparkplugIngest::forget(SparkplugBirth& birth) {
  metrics_ -= birth.size();
  name_bytes_ -= birth.name_bytes();
  birth.clear();
}

void SparkplugIngest::forget_devices(SparkplugNode& node) {
  for (auto& device : node.devices) forget(device.second);
  devices_ -= node.devices.size();
  node.devices.clear();
}

void SparkplugIngest::ask_rebirth(const Message& message, SparkplugNode& node) {
  if (node.asked && message.now - *node.asked < node.ask_pause) return;
  if (rebirths_.size() >= limits_.nodes_max) return;
  if (node.asked) node.ask_pause = std::min(node.ask_pause * 2, kAskPauseMost);
  node.asked = message.now;
  rebirths_.push_back({node.group, node.name});
}

std::string rebirth_topic(const SparkplugNodeName& node) { return "spBv1.0/" + node.group + "/NCMD/" + node.node; }

std::string rebirth_payload(WallTime now) {
  SparkplugMetric metric;
  metric.name = std::string(kRebirth);
  metric.type = SparkplugType::boolean;
  metric.value = true;
  const auto since_epoch = std::chrono::floor<std::chrono::milliseconds>(now.time_since_epoch());
  mqtt::SparkplugPayload payload;
  payload.timestamp = static_cast<std::uint64_t>(std::max<std::int64_t>(since_epoch.count(), 0));
  metric.timestamp = payload.timestamp;
  payload.metrics.push_back(std::move(metric));
  return mqtt::encode_sparkplug(payload);
}

}  // namespace tidegate::drivers
