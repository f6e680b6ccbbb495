#include "drivers/mqtt/message_decoder.h"

#include <utility>

#include "core/text.h"
#include "drivers/mqtt/source_time.h"
#include "mqtt/topic_filter.h"

namespace tidegate::drivers {
namespace {

// What is remembered of topics, and over all of them of names in payloads; whoever sends more than this makes us look
// them up again.
constexpr std::size_t kTopicsMax = 65'536;
constexpr std::size_t kNamesMax = 65'536;
constexpr std::size_t kTextBytesMax = std::size_t{16} * 1024 * 1024;
// Of topics with what each subscription makes of them: there may be hundreds that match.
constexpr std::size_t kTopicBytesMax = std::size_t{32} * 1024 * 1024;

WallTime whole_milliseconds(WallTime time) {
  return WallTime(std::chrono::floor<std::chrono::milliseconds>(time.time_since_epoch()));
}

}  // namespace

MessageDecoder::MessageDecoder(const MqttDriverOptions& options, TagRegistry& tags, std::size_t text_bytes_max)
    : driver_(options.name),
      automatic_tags_max_(options.automatic_tags_max),
      text_bytes_max_(text_bytes_max),
      tags_(tags) {
  subscriptions_.reserve(options.subscribe.size());
}

Result<std::unique_ptr<MessageDecoder>> MessageDecoder::make(const MqttDriverOptions& options, TagRegistry& tags,
                                                             std::size_t text_bytes_max) {
  std::unique_ptr<MessageDecoder> made(new MessageDecoder(options, tags, text_bytes_max));
  for (const MqttSubscribeOptions& subscribe : options.subscribe) {
    if (auto added = made->add(subscribe); !added) return tl::unexpected(added.error());
  }
  return made;
}

Result<void> MessageDecoder::add(const MqttSubscribeOptions& options) {
  auto subscription = make_subscription(options, driver_);
  if (!subscription) return tl::unexpected(subscription.error());
  if (auto claimed = claim_fixed_tags(*subscription, options.where.text); !claimed) return claimed;
  subscriptions_.push_back(std::move(*subscription));
  return {};
}

Result<void> MessageDecoder::claim_fixed_tags(const Subscription& subscription, const std::string& where) {
  if (!subscription.has_fixed_tags()) return {};
  const std::vector<std::string> unnamed{""};
  for (const std::string& name : subscription.value_names.empty() ? unnamed : subscription.value_names) {
    Tag tag;
    tag.path = tag_path(subscription.device, subscription.tag, name);
    tag.driver = driver_;
    tag.unit = subscription.unit_of(name, subscription.tag);
    if (auto claimed = tags_.claim(tag); !claimed) {
      Error error = claimed.error();
      if (!where.empty()) error.message = where + ": " + error.message;
      return tl::unexpected(std::move(error));
    }
  }
  return {};
}

MessageDecoder::Routes& MessageDecoder::routes_of(std::string_view topic) {
  if (const auto found = topics_.find(topic); found != topics_.end()) return found->second;
  Routes routes;
  std::size_t bytes = topic.size();
  for (const Subscription& subscription : subscriptions_) {
    if (subscription.is_sparkplug()) {
      routes.is_sparkplug = routes.is_sparkplug || mqtt::filter_matches(subscription.sparkplug_filter, topic);
      continue;
    }
    const auto names = subscription.topic.match(topic);
    if (!names) continue;
    Route route;
    route.subscription = &subscription;
    route.device = subscription.topic.has_device() ? std::string(names->device) : subscription.device;
    route.tag = subscription.topic.has_tag() ? std::string(names->tag) : subscription.tag;
    route.slots.resize(subscription.rule.values.size());
    bytes += sizeof route + route.device.size() + route.tag.size() + route.slots.size() * sizeof(Slot);
    routes.routes.push_back(std::move(route));
  }
  if (topics_.size() >= kTopicsMax || topic_bytes_ + bytes > kTopicBytesMax) {
    forget_names();
    topics_.clear();
    topic_bytes_ = 0;
  }
  topic_bytes_ += bytes;
  return topics_.emplace(topic, std::move(routes)).first->second;
}

Refusal MessageDecoder::decode(const QueueEntry& message, std::vector<Reading>& into) {
  message_ = &message;
  into_ = &into;
  refusal_ = Refusal::none;
  Routes& routes = routes_of(message.topic);
  const WallTime received = whole_milliseconds(message.received);
  if (routes.is_sparkplug) {
    QueueEntry entry = message;
    entry.received = received;
    sparkplug_.take(entry, latest_plausible(received, clock_is_synced_), now_, *this);
  } else if (routes.routes.empty()) {
    refuse(Refusal::no_such_topic, {});
  }
  payloads_.load(message.payload, received, clock_is_synced_);
  for (Route& route : routes.routes) {
    route_ = &route;
    payloads_.decode(route.subscription->rule, *this);
  }
  return refusal_;
}

void MessageDecoder::take(Sample& sample) {
  const Slot& slot = slot_of(sample);
  if (slot.problem != Refusal::none) return refuse(slot.problem, sample.member);
  if (const auto* text = std::get_if<std::string>(&sample.value); text != nullptr && text->size() > text_bytes_max_) {
    return refuse(Refusal::text_too_long, sample.member);
  }
  Reading& reading = into_->emplace_back();
  reading.tag = slot.id;
  reading.quality = sample.quality;
  reading.reason = sample.reason;
  reading.origin = sample.origin;
  reading.time = sample.time;
  reading.value = std::move(sample.value);
  if (message_->retained && sample.origin == TimeOrigin::ingest) mark_retained(reading);
}

SparkplugSink::TagOrWhyNot MessageDecoder::claim(const std::string& path) {
  const Slot slot = find_slot(path, {});
  return {slot.id, slot.problem};
}

void MessageDecoder::put(Reading reading, std::string_view name) {
  if (const auto* text = std::get_if<std::string>(&reading.value); text != nullptr && text->size() > text_bytes_max_) {
    return refuse(Refusal::text_too_long, name);
  }
  into_->push_back(std::move(reading));
}

// Every time that we connect the broker sends it again, however old it is, and nothing in it says how old.
void MessageDecoder::mark_retained(Reading& reading) {
  count(Refusal::retained, 1);
  if (reading.quality == Quality::bad) return;
  reading.quality = Quality::uncertain;
  if (reading.reason == Reason::none) reading.reason = Reason::stale;
}

const MessageDecoder::Slot& MessageDecoder::slot_of(const Sample& sample) {
  const PayloadRule& rule = route_->subscription->rule;
  if (rule.device || rule.tag || rule.all_members) return named_slot_of(sample);
  Slot& slot = route_->slots[sample.index];
  if (!slot.is_known) {
    const auto& names = route_->subscription->value_names;
    const std::string name = names.empty() ? std::string() : names[sample.index];
    slot = find_slot(tag_path(route_->device, route_->tag, name), route_->subscription->unit_of(name, route_->tag));
  }
  return slot;
}

const MessageDecoder::Slot& MessageDecoder::named_slot_of(const Sample& sample) {
  const Subscription& subscription = *route_->subscription;
  const PayloadRule& rule = subscription.rule;
  const std::string_view name = rule.all_members                   ? sample.member
                                : subscription.value_names.empty() ? std::string_view{}
                                                                   : subscription.value_names[sample.index];
  name_in_payload_.assign(rule.device ? sample.device : std::string_view{});
  for (const std::string_view part : {rule.tag ? sample.tag : std::string_view{}, name}) {
    name_in_payload_ += '\0';  // in no valid name: a key for each triple
    name_in_payload_ += part;
  }
  if (const auto found = route_->named.find(name_in_payload_); found != route_->named.end()) return found->second;
  const bool is_nameless = rule.all_members && name.empty();
  const std::string_view tag = rule.tag ? sample.tag : std::string_view(route_->tag);
  const std::string path =
      is_nameless ? "" : tag_path(rule.device ? sample.device : std::string_view(route_->device), tag, name);
  refused_slot_ = find_slot(path, subscription.unit_of(name, tag));
  // Only tags have a limit; names that become none are without end.
  return refused_slot_.problem == Refusal::none ? remember(name_in_payload_, refused_slot_) : refused_slot_;
}

const MessageDecoder::Slot& MessageDecoder::remember(const std::string& name, const Slot& slot) {
  if (names_ >= kNamesMax || name_bytes_ + name.size() > kTextBytesMax) forget_names();
  ++names_;
  name_bytes_ += name.size();
  return route_->named.emplace(name, slot).first->second;
}

void MessageDecoder::forget_names() {
  for (auto& topic : topics_) {
    for (Route& route : topic.second.routes) route.named.clear();
  }
  names_ = name_bytes_ = 0;
}

MessageDecoder::Slot MessageDecoder::find_slot(const std::string& path, const std::string& unit) {
  const auto problem = [](Refusal why) { return Slot{kNoTag, why, true}; };
  if (!check_tag_path(path)) return problem(Refusal::tag_invalid);
  const auto known = tags_.find(path);
  const std::string owner = known ? tags_.tag(*known).driver : std::string();
  if (owner == driver_) return Slot{*known, Refusal::none, true};
  if (!owner.empty()) return problem(Refusal::tag_of_other_driver);
  if (automatic_tags_ >= automatic_tags_max_) return problem(Refusal::too_many_tags);
  Tag tag;
  tag.path = path;
  tag.driver = driver_;
  tag.unit = unit;
  const auto claimed = tags_.claim(tag);
  if (!claimed) return problem(Refusal::too_many_tags);
  ++automatic_tags_;
  return Slot{*claimed, Refusal::none, true};
}

// The detail may be a place in the payload or a sentence.
std::string refusal_line(Refusal why, std::string_view detail, std::string_view topic, std::string_view payload) {
  std::string line = name(why);
  if (!detail.empty()) line += " (" + clip(detail) + ")";
  return line + " on topic \"" + clip(topic) + "\", payload \"" + clip(payload) + "\"";
}

void MessageDecoder::refuse(Refusal why, std::string_view detail) {
  count(why, 1);
  if (refusal_ == Refusal::none) refusal_ = why;
  const auto left_out = complaints_.admit(name(why), now_);
  if (!left_out) return;
  log_warning(driver_, "{}{}", refusal_line(why, detail, message_->topic, message_->payload),
              since_last_line(*left_out));
}

void MessageDecoder::count(Refusal why, std::uint64_t times) { refused_[static_cast<std::size_t>(why)] += times; }

std::map<std::string, std::uint64_t> MessageDecoder::counts(bool kept) const {
  std::map<std::string, std::uint64_t> counts;
  for (std::size_t i = 0; i < refused_.size(); ++i) {
    const auto why = static_cast<Refusal>(i);
    if (refused_[i] > 0 && is_kept(why) == kept) counts[name(why)] = refused_[i];
  }
  return counts;
}

}  // namespace tidegate::drivers
