#pragma once

#include <map>
#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

#include "core/clock.h"
#include "core/log.h"
#include "core/tag.h"
#include "core/value_limits.h"
#include "drivers/mqtt/payload_decoder.h"
#include "drivers/mqtt/queue_entry.h"
#include "drivers/mqtt/refusal.h"
#include "drivers/mqtt/sparkplug_ingest.h"
#include "drivers/mqtt/subscription.h"

namespace tidegate::drivers {

/// Turns messages into readings: finds the subscriptions that a topic belongs to, takes the values out of the payload,
/// claims tags as they show up. A topic seen before costs one look into a table. A message that several subscriptions
/// match is taken by each of them. What a broker had retained and what has no time of its own becomes a reading of
/// quality uncertain, reason `stale`. What cannot be taken is counted by reason; the first of each kind is logged.
/// Sparkplug messages are taken once, however many subscriptions they match.
/// One thread.
class MessageDecoder final : private SampleSink, private SparkplugSink {
 public:
  /// Claims the tags whose names the options fix. Error: an option is wrong, or such a tag belongs to another driver.
  /// `text_bytes_max`: as in DriverContext.
  static Result<std::unique_ptr<MessageDecoder>> make(const MqttDriverOptions& options, TagRegistry& tags,
                                                      std::size_t text_bytes_max = kValueTextBytesMax);

  /// For the messages until the next call.
  void set_time(ClockQuality quality, BootTime now) {
    clock_is_synced_ = quality == ClockQuality::synced;
    now_ = now;
  }
  /// Returns why something of the message was not taken, whatever came first; `none` when all of it was.
  Refusal decode(const QueueEntry& message, std::vector<Reading>& into);

  /// Sparkplug nodes that are to be asked for a rebirth since the last call; whoever can, does.
  bool wants_rebirths() const { return sparkplug_.wants_rebirths(); }
  std::vector<SparkplugNodeName> take_rebirths() { return sparkplug_.take_rebirths(); }

  /// Counts what did not even come here.
  void count(Refusal why, std::uint64_t times);
  std::map<std::string, std::uint64_t> refused() const { return counts(false); }
  std::map<std::string, std::uint64_t> remarked() const { return counts(true); }
  /// How many names of payloads are remembered, so that they need not be looked up.
  std::size_t names_remembered() const { return names_; }
  const std::vector<Subscription>& subscriptions() const { return subscriptions_; }

 private:
  struct TextHash {
    using is_transparent = void;
    std::size_t operator()(std::string_view text) const { return std::hash<std::string_view>{}(text); }
  };
  template <class T>
  using Table = std::unordered_map<std::string, T, TextHash, std::equal_to<>>;

  /// A tag, or why there is none.
  struct Slot {
    TagId id = kNoTag;
    Refusal problem = Refusal::none;
    bool is_known = false;
  };
  /// A subscription for one topic.
  struct Route {
    const Subscription* subscription = nullptr;
    std::string device;
    std::string tag;
    std::vector<Slot> slots;  // one a value, when the payload gives no names
    Table<Slot> named;        // by the names that the payload gives
  };
  struct Routes {
    std::vector<Route> routes;
    bool is_sparkplug = false;  // for some subscription, which has no route
  };

  MessageDecoder(const MqttDriverOptions& options, TagRegistry& tags, std::size_t text_bytes_max);
  Result<void> add(const MqttSubscribeOptions& options);
  Result<void> claim_fixed_tags(const Subscription& subscription, const std::string& where);
  Routes& routes_of(std::string_view topic);
  const Slot& slot_of(const Sample& sample);
  const Slot& named_slot_of(const Sample& sample);
  const Slot& remember(const std::string& name, const Slot& slot);
  void forget_names();
  Slot find_slot(const std::string& path, const std::string& unit);
  void take(Sample& sample) override;
  void mark_retained(Reading& reading);
  TagOrWhyNot claim(const std::string& path) override;
  void put(Reading reading, std::string_view name) override;
  void refuse(Refusal why, std::string_view detail) override;  // of both sinks
  std::map<std::string, std::uint64_t> counts(bool kept) const;

  const std::string driver_;
  const std::uint32_t automatic_tags_max_;
  const std::size_t text_bytes_max_;
  TagRegistry& tags_;
  std::vector<Subscription> subscriptions_;
  PayloadDecoder payloads_;
  SparkplugIngest sparkplug_;
  Table<Routes> topics_;
  std::size_t topic_bytes_ = 0;
  std::size_t names_ = 0;  // in Route::named, of all routes
  std::size_t name_bytes_ = 0;
  Slot refused_slot_;
  std::uint32_t automatic_tags_ = 0;
  std::string name_in_payload_;

  bool clock_is_synced_ = false;
  BootTime now_{};
  const QueueEntry* message_ = nullptr;  // while decode() runs
  Route* route_ = nullptr;
  std::vector<Reading>* into_ = nullptr;
  Refusal refusal_ = Refusal::none;

  std::array<std::uint64_t, static_cast<std::size_t>(Refusal::count_)> refused_{};
  ComplaintFilter complaints_;
};

/// What the log says of a message that was not taken, or not as it is.
std::string refusal_line(Refusal why, std::string_view detail, std::string_view topic, std::string_view payload);

}  // namespace tidegate::drivers
