#include "drivers/mqtt_listener/subscriber.h"

#include <algorithm>
#include <utility>

#include "core/free_room.h"
#include "mqtt/packet_encoder.h"
#include "mqtt/topic_filter.h"

namespace tidegate::drivers {
namespace {

using mqtt::ReasonCode;

// Matching a filter costs about as much as so many bytes of a message.
constexpr std::size_t kMatchCost = 16;

// What is known of a topic.
constexpr std::uint8_t kKnown = 1;
constexpr std::uint8_t kMatched = 2;
constexpr std::uint8_t kQos1 = 4;
constexpr std::uint8_t kRetainAsPublished = 8;

void spend(std::size_t& budget, std::size_t cost) { budget -= std::min(budget, cost); }

}  // namespace

void Subscriber::begin(const Peer& peer) {
  peer_ = peer;
  peer_.in_flight_max = std::min(peer_.in_flight_max, kInFlightMax);
  for (InFlight& message : in_flight_) message.to_resend = true;
  to_resend_ = in_flight_.size();
  for (std::size_t i = 0; i < latest_.size() && !subscriptions_.empty(); ++i) {
    if (latest_.look(i).changed_in > left_in_) changed_.insert(i);
  }
}

// What was waiting has changed, as far as the next connection is concerned.
void Subscriber::leave() {
  left_in_ = retained_open_ > 0 ? 0 : latest_.rounds();
  for (auto at = changed_.next(0); at; at = changed_.next(*at + 1)) {
    left_in_ = std::min(left_in_, latest_.look(*at).changed_in - 1);
  }
  for (Subscription& subscription : subscriptions_) subscription.retained_next = subscription.retained_end = 0;
  retained_open_ = 0;
  changed_.reset();
  forget_matches();
  free_room(matches_);
  unmatched_.reset();
  free_room(topic_);
  free_room(document_);
}

ReasonCode Subscriber::subscribe(const mqtt::SubscribeEntry& entry) {
  const auto known = std::find_if(subscriptions_.begin(), subscriptions_.end(),
                                  [&](const Subscription& one) { return one.filter == entry.filter; });
  const bool is_new = known == subscriptions_.end();
  if (is_new && (subscriptions_.size() >= kFiltersMax || filter_bytes() + entry.filter.size() > kFilterBytesMax)) {
    return ReasonCode::quota_exceeded;
  }
  Subscription& subscription = is_new ? subscriptions_.emplace_back() : *known;
  subscription.filter = entry.filter;
  subscription.qos = std::min<std::uint8_t>(entry.qos, 1);
  subscription.retain_as_published = entry.retain_as_published;
  if (entry.retain_handling == 0 || (entry.retain_handling == 1 && is_new)) {
    if (subscription.retained_next == subscription.retained_end && latest_.size() > 0) ++retained_open_;
    subscription.retained_next = 0;
    subscription.retained_end = latest_.size();
  }
  forget_matches();
  return subscription.qos == 0 ? ReasonCode::success : ReasonCode::granted_qos_1;
}

bool Subscriber::unsubscribe(std::string_view filter) {
  const auto known = std::find_if(subscriptions_.begin(), subscriptions_.end(),
                                  [&](const Subscription& one) { return one.filter == filter; });
  if (known == subscriptions_.end()) return false;
  if (known->retained_next < known->retained_end) --retained_open_;
  subscriptions_.erase(known);
  if (subscriptions_.empty()) changed_.clear();
  forget_matches();
  return true;
}

void Subscriber::acknowledge(std::uint16_t packet_id) {
  const auto known = std::find_if(in_flight_.begin(), in_flight_.end(),
                                  [&](const InFlight& one) { return one.packet_id == packet_id; });
  if (known == in_flight_.end()) return;
  if (known->to_resend) --to_resend_;
  in_flight_.erase(known);
}

void Subscriber::note_changed(const IndexSet& changed) {
  if (!subscriptions_.empty()) changed_.merge(changed, unmatched_);
}

bool Subscriber::wants_to_send() const {
  const bool has_work = to_resend_ > 0 || retained_open_ > 0 || !changed_.empty();
  return has_work && !window_is_full();
}

void Subscriber::fill(std::string& out, std::size_t& budget) {
  while (budget > 0 && !window_is_full()) {
    if (to_resend_ > 0) {
      resend_next(out, budget);
    } else if (!look_at_retained(out, budget) && !send_changed(out, budget)) {
      return;
    }
  }
}

// Under its packet id of before (section 4.4), with the value of now.
void Subscriber::resend_next(std::string& out, std::size_t& budget) {
  const auto next =
      std::find_if(in_flight_.begin(), in_flight_.end(), [](const InFlight& one) { return one.to_resend; });
  next->to_resend = false;
  --to_resend_;
  changed_.erase(next->index);
  const bool sent = write({next->index, 1, false, true, next->packet_id}, out, budget);
  if (!sent) in_flight_.erase(next);
}

// One topic of those that the table held when a subscription came. False when there is none left.
bool Subscriber::look_at_retained(std::string& out, std::size_t& budget) {
  if (retained_open_ == 0) return false;
  const auto open = std::find_if(subscriptions_.begin(), subscriptions_.end(),
                                 [](const Subscription& one) { return one.retained_next < one.retained_end; });
  const std::size_t index = open->retained_next++;
  if (open->retained_next == open->retained_end) --retained_open_;
  topic_.clear();
  latest_.append_topic(index, topic_);
  spend(budget, kMatchCost);
  if (!latest_.look(index).is_retained || !mqtt::filter_matches(open->filter, topic_)) return true;
  changed_.erase(index);
  send(index, true, out, budget);
  return true;
}

// False when nothing has changed.
bool Subscriber::send_changed(std::string& out, std::size_t& budget) {
  auto index = changed_.next(changed_next_);
  if (!index) index = changed_.next(0);
  if (!index) return false;
  changed_next_ = *index + 1;
  changed_.erase(*index);
  const std::uint8_t found = match(*index, budget);
  if ((found & kMatched) != 0) send(*index, (found & kRetainAsPublished) != 0, out, budget);
  return true;
}

void Subscriber::send(std::size_t index, bool retain, std::string& out, std::size_t& budget) {
  const bool is_qos1 = (match(index, budget) & kQos1) != 0;
  const std::uint16_t packet_id = is_qos1 ? next_packet_id() : std::uint16_t{0};
  const bool sent = write({index, is_qos1 ? std::uint8_t{1} : std::uint8_t{0}, retain, false, packet_id}, out, budget);
  if (sent && is_qos1) in_flight_.push_back({index, packet_id, false});
}

// False when it is larger than the client takes: then it counts as sent (section 3.1.2.11.4 of version 5).
bool Subscriber::write(const Message& message, std::string& out, std::size_t& budget) {
  topic_.clear();
  document_.clear();
  latest_.append_topic(message.index, topic_);
  latest_.append_document(message.index, document_);
  mqtt::PublishPacket publish;
  publish.topic = topic_;
  publish.payload = document_;
  publish.packet_id = message.packet_id;
  publish.qos = message.qos;
  publish.duplicate = message.duplicate;
  publish.retain = message.retain;
  const std::size_t before = out.size();
  mqtt::encode(publish, peer_.version, out);
  const std::size_t bytes = out.size() - before;
  spend(budget, bytes);
  if (bytes <= peer_.packet_bytes_max) return true;
  out.resize(before);
  return false;
}

void Subscriber::forget_matches() {
  if (!std::exchange(has_matches_, false)) return;
  std::fill(matches_.begin(), matches_.end(), std::uint8_t{0});
  unmatched_.clear();
}

// Once a topic, as long as the subscriptions are the same ones.
std::uint8_t Subscriber::match(std::size_t index, std::size_t& budget) {
  if (index >= matches_.size()) matches_.resize(latest_.size());
  std::uint8_t& found = matches_[index];
  if (found != 0) return found;
  found = kKnown;
  has_matches_ = true;
  topic_.clear();
  latest_.append_topic(index, topic_);
  for (const Subscription& subscription : subscriptions_) {
    if (!mqtt::filter_matches(subscription.filter, topic_)) continue;
    found |= kMatched;
    if (subscription.qos > 0) found |= kQos1;
    if (subscription.retain_as_published) found |= kRetainAsPublished;
  }
  spend(budget, kMatchCost * (1 + subscriptions_.size()));
  if ((found & kMatched) == 0) unmatched_.insert(index);
  return found;
}

std::uint16_t Subscriber::next_packet_id() {
  const auto is_in_use = [this](std::uint16_t id) {
    return std::any_of(in_flight_.begin(), in_flight_.end(), [id](const InFlight& one) { return one.packet_id == id; });
  };
  do ++last_packet_id_;
  while (last_packet_id_ == 0 || is_in_use(last_packet_id_));
  return last_packet_id_;
}

std::size_t Subscriber::filter_bytes() const {
  std::size_t bytes = 0;
  for (const Subscription& subscription : subscriptions_) bytes += subscription.filter.size();
  return bytes;
}

std::size_t Subscriber::kept_bytes() const {
  return sizeof *this + filter_bytes() + subscriptions_.size() * sizeof(Subscription) +
         in_flight_.capacity() * sizeof(InFlight);
}

}  // namespace tidegate::drivers
