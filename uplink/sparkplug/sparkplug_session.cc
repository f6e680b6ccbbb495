#include "uplink/sparkplug/sparkplug_session.h"

#include <utility>

#include "core/text.h"
#include "mqtt/sparkplug_payload.h"

namespace tidegate::uplink {
namespace {

using mqtt::SparkplugMetric;
using mqtt::SparkplugType;
using mqtt::SparkplugValue;

constexpr Duration kLeavePatience = std::chrono::seconds(20);  // for the acknowledgement of a death

SparkplugMetric fixed(const char* name, SparkplugType type, SparkplugValue value, std::uint64_t timestamp) {
  SparkplugMetric metric;
  metric.name = name;
  metric.timestamp = timestamp;
  metric.type = type;
  metric.value = std::move(value);
  return metric;
}

}  // namespace

SparkplugSession::SparkplugSession(std::string uplink, const SparkplugOptions& options, std::string gateway)
    : uplink_(std::move(uplink)),
      options_(options),
      gateway_(std::move(gateway)),
      names_(options, gateway_),
      aliases_(options.first_alias) {
  // So that no birth of the node is needed for the first batch.
  SparkplugEntry nothing;
  nothing.name = kBatchMetric;
  nothing.value = std::string();
  metrics("").add(nothing);
  metrics("").take_data();
}

void SparkplugSession::connected(std::uint64_t bd_seq, const std::string& remark, Now now) {
  bd_seq_ = bd_seq;
  remark_ = remark;
  if (!remark.empty()) log_warning("uplink", "{}: {}", uplink_, remark);
  // The retained STATE may have come before the last answer to the subscriptions.
  if (names_.host().empty() || (host_ && host_->is_online)) return give_birth(now);
  const std::string nothing = "nothing is known of it yet, the broker has no STATE retained of it";
  wait_for_host(host_ ? "it is offline" : remark.empty() ? nothing : nothing + "; " + remark);
}

void SparkplugSession::disconnected(const std::string& why) {
  const bool left = state_ == State::leaving;
  state_ = State::down;
  leaves_by_.reset();
  asks_again_at_.reset();
  host_.reset();
  orders_.messages.clear();  // else they, and the end, would be of the next one
  orders_.reconnect = false;
  give_up();
  if (!left) tell_link(false, why);  // why it left says more
}

void SparkplugSession::connecting(const std::string& why) {
  if (state_ != State::down) return disconnected(why);
  host_.reset();
}

void SparkplugSession::give_up() {
  fail_batches();
  tickets_.clear();
  unsent_.clear();
  bytes_on_their_way_ = 0;
  open_rebirths_ = 0;
  wants_births_ = false;
  is_broken_ = false;
}

void SparkplugSession::fail_batches() {
  for (const auto& [id, open] : batches_) orders_.done.push_back({id, false});
  for (const OutgoingBatch& batch : waiting_) orders_.done.push_back({batch.id, false});
  batches_.clear();
  waiting_.clear();
  work_.reset();
  for (auto& [name, device] : devices_) device.drop_pending();
}

void SparkplugSession::tell_link(bool up, const std::string& detail) { orders_.link = {up, detail}; }

void SparkplugSession::wait_for_host(const std::string& why) {
  state_ = State::waiting;
  tell_link(false, "waits for the primary host \"" + clip(names_.host()) + "\", and stores: " + why);
}

void SparkplugSession::take_message(const Message& message, Now now) {
  if (!names_.host().empty() && message.topic == names_.host_topic()) return take_state(message.payload, now);
  if (message.topic == names_.topic("NCMD")) return take_node_command(message, now);
  if (message.topic.starts_with(names_.topic("DCMD") + '/')) take_device_command(message, now);
}

// Only what is as new as the last word counts: a broker may have kept an older one.
void SparkplugSession::take_state(std::string_view payload, Now now) {
  const auto state = parse_host_state(payload);
  if (!state) {
    return complain("STATE", now, "is no {\"online\":true|false,\"timestamp\":MILLISECONDS}: " + clip(payload));
  }
  if (host_ && state->timestamp < host_->timestamp) return pass_over_older(*state, now);
  host_ = state;
  asks_again_at_.reset();
  if (state_ == State::waiting && state->is_online) return give_birth(now);
  if (state_ == State::waiting) return wait_for_host("it is offline");
  if (state_ == State::born && !state->is_online) leave("it said that it is offline", now);
}

void SparkplugSession::pass_over_older(const HostState& state, Now now) {
  const std::string what = std::string(state.is_online ? "online" : "offline") + " at " +
                           std::to_string(state.timestamp) + " is older than its last word at " +
                           std::to_string(host_->timestamp);
  complain("STATE", now, "is passed over, " + what + ": check the clock of the host \"" + clip(names_.host()) + '"');
  if (state_ != State::waiting || !state.is_online) return;
  wait_for_host("it is offline; " + what + ": check the host's clock");
  if (!asks_again_at_) asks_again_at_ = now.boot + kAskAgain;
}

void SparkplugSession::complain(std::string_view kind, Now now, const std::string& text) {
  const auto left_out = complaints_.admit(kind, now.boot);
  if (left_out) log_warning("uplink", "{}: a {} {}{}", uplink_, kind, text, since_last_line(*left_out));
}

void SparkplugSession::leave(const std::string& why, Now now) {
  give_up();
  publish_death(now);
  state_ = State::leaving;
  leaves_by_ = now.boot + kLeavePatience;
  tell_link(false, "has left, as the primary host \"" + clip(names_.host()) + "\" wants it, and stores: " + why);
}

void SparkplugSession::end(Now now) {
  if (state_ == State::born) {
    give_up();  // what is not on its way must not stay before the death
    publish_death(now);
  }
  state_ = State::down;
}

void SparkplugSession::publish_death(Now now) {
  mqtt::ConnectionWill death = sparkplug_death(names_, bd_seq_, now.wall);
  death_ticket_ = ++last_ticket_;
  orders_.messages.push_back({death_ticket_, std::move(death.topic), std::move(death.payload), 1});
}

std::optional<BootTime> SparkplugSession::next_deadline() const {
  if (state_ == State::leaving) return leaves_by_;
  if (state_ == State::waiting) return asks_again_at_;
  if (state_ == State::born && wants_births_ && open_rebirths_ == 0) return born_at_ + kBirthPause;
  return std::nullopt;
}

void SparkplugSession::tick(Now now) {
  const auto due = next_deadline();
  if (!due || now.boot < *due) return;
  if (state_ == State::born) return give_birth(now);
  leaves_by_.reset();
  asks_again_at_.reset();
  orders_.reconnect = true;
}

void SparkplugSession::published(std::uint64_t ticket, bool ok, Now now) {
  if (state_ == State::leaving && ticket == death_ticket_) {
    if (std::exchange(leaves_by_, std::nullopt)) orders_.reconnect = true;
    return;
  }
  const auto found = tickets_.find(ticket);
  if (found == tickets_.end()) return;
  const Ticket answered = found->second;
  tickets_.erase(found);
  bytes_on_their_way_ -= answered.bytes;
  if (answered.is_rebirth && --open_rebirths_ == 0) born_at_ = now.boot;
  if (!ok) return break_off(now);
  if (const auto open = batches_.find(answered.batch); open != batches_.end()) {
    --open->second.messages;
    close(answered.batch);
  }
  publish_next(now);
}

// A number is missing now. Receivers have lost the thread, or a birth, and pass over what comes behind it.
void SparkplugSession::break_off(Now now) {
  is_broken_ = true;
  wants_births_ = true;
  fail_batches();
  for (const Unsent& unsent : unsent_) open_rebirths_ -= unsent.ticket.is_rebirth ? 1 : 0;
  unsent_.clear();
  tick(now);
}

void SparkplugSession::close(std::uint64_t batch_id) {
  const auto open = batches_.find(batch_id);
  if (!open->second.is_complete || open->second.messages > 0) return;
  batches_.erase(open);
  orders_.done.push_back({batch_id, true});
}

void SparkplugSession::take_batch(const OutgoingBatch& batch, Now now) {
  if (state_ != State::born) {
    orders_.done.push_back({batch.id, false});
    return;
  }
  waiting_.push_back(batch);
  publish_next(now);
}

// Messages are made when those before them are on their way.
void SparkplugSession::publish_next(Now now) {
  while (state_ == State::born && !is_broken_) {
    hand_over();
    if (!unsent_.empty()) return;
    if (!work_ && !begin_batch(now)) return;
    publish_part(now);
  }
}

void SparkplugSession::hand_over() {
  while (!unsent_.empty() && tickets_.size() < kOnTheirWayMost && bytes_on_their_way_ < kBytesOnTheirWayMost) {
    Unsent& next = unsent_.front();
    bytes_on_their_way_ += next.ticket.bytes;
    tickets_.emplace(next.message.ticket, next.ticket);
    orders_.messages.push_back(std::move(next.message));
    unsent_.pop_front();
  }
}

bool SparkplugSession::begin_batch(Now now) {
  while (!waiting_.empty()) {
    const OutgoingBatch batch = std::move(waiting_.front());
    waiting_.pop_front();
    const auto entries = parser_.take_apart(batch);
    if (!entries) {
      complain("batch", now, entries.error().message);
      orders_.done.push_back({batch.id, false, entries.error().message});
      continue;
    }
    batches_[batch.id] = {};
    work_ = Work{batch.id, {""}, 0};  // the batch's own word goes first
    for (const SparkplugEntry& entry : *entries) {
      SparkplugMetrics& device = metrics(entry.device);
      if (!device.has_pending() && !entry.device.empty()) work_->devices.push_back(entry.device);
      device.add(entry);
    }
    return true;
  }
  return false;
}

void SparkplugSession::publish_part(Now now) {
  const std::uint64_t batch = work_->batch;
  flush(work_->devices[work_->next], now, batch);
  if (++work_->next < work_->devices.size()) return;
  work_.reset();
  batches_[batch].is_complete = true;
}

void SparkplugSession::flush(const std::string& device, Now now, std::uint64_t batch) {
  SparkplugMetrics& of = metrics(device);
  if (of.needs_birth() && device.empty()) {
    publish_births(now);
  } else if (of.needs_birth()) {
    publish("DBIRTH", device, of.take_birth(), now, {});
  }
  publish(device.empty() ? "NDATA" : "DDATA", device, of.take_data(), now, {batch});
}

SparkplugMetrics& SparkplugSession::metrics(const std::string& device) {
  const auto found = devices_.find(device);
  if (found != devices_.end()) return found->second;
  const auto is_writable = [this, device](const std::string& name) {
    return options_.writable.contains(tag_of_metric(device, name));
  };
  return devices_.try_emplace(device, aliases_, is_writable).first->second;
}

void SparkplugSession::give_birth(Now now) {
  publish_births(now);
  publish_next(now);
}

void SparkplugSession::publish_births(Now now) {
  const bool was_born = std::exchange(state_, State::born) == State::born;
  born_at_ = now.boot;
  wants_births_ = false;
  is_broken_ = false;
  publish_node_birth(now);
  for (auto& [name, device] : devices_) {
    if (!name.empty() && !device.empty()) publish("DBIRTH", name, device.take_birth(), now, {kNoBatch, true});
  }
  if (!was_born) tell_link(true, remark_);
}

void SparkplugSession::publish_node_birth(Now now) {
  const std::uint64_t time = sparkplug_time(now.wall);
  std::vector<SparkplugMetric> births{
      fixed("bdSeq", SparkplugType::int64, bd_seq_, time),
      fixed(kRebirthMetric, SparkplugType::boolean, false, time),
      fixed("Properties/Gateway", SparkplugType::string, gateway_, time),
      fixed("Properties/Software", SparkplugType::string, std::string("Tidegate ") + TIDEGATE_VERSION, time),
  };
  for (SparkplugMetric& metric : metrics("").take_birth()) {
    if (metric.timestamp == 0) metric.timestamp = time;
    births.push_back(std::move(metric));
  }
  seq_ = 0;
  publish("NBIRTH", {}, std::move(births), now, {kNoBatch, true});
}

void SparkplugSession::publish(std::string_view kind, std::string_view device, std::vector<SparkplugMetric> metrics,
                               Now now, Ticket ticket) {
  mqtt::SparkplugPayload payload;
  payload.timestamp = sparkplug_time(now.wall);
  payload.seq = seq_++;  // goes round
  payload.metrics = std::move(metrics);
  SparkplugMessage message{++last_ticket_, names_.topic(kind, device), mqtt::encode_sparkplug(payload), options_.qos};
  ticket.bytes = message.topic.size() + message.payload.size();
  open_rebirths_ += ticket.is_rebirth ? 1 : 0;
  if (ticket.batch != kNoBatch) ++batches_[ticket.batch].messages;
  unsent_.push_back({std::move(message), ticket});
}

}  // namespace tidegate::uplink
