#include "drivers/mqtt_listener/listener_core.h"

#include <algorithm>
#include <random>

#include "core/log.h"
#include "core/text.h"

namespace tidegate::drivers {
namespace {

using mqtt::ReasonCode;

// Of messages that the journal has noted, so that the log takes them and its mark in one frame: a kill in the middle of
// two would leave some of them taken and not known to be.
constexpr std::size_t kNotedReadingsMax = 2048;
constexpr std::size_t kNotedBytesMax = std::size_t{128} * 1024;
constexpr std::size_t kLeftBehindMax = 4096;
constexpr std::size_t kLeftBehindIdsMax = 64 * 1024;  // of messages of QoS 2, over all who left
constexpr std::size_t kLeftBehindSubscriberBytesMax = std::size_t{4} * 1024 * 1024;
// Panels beside a machine; each costs some bits and a byte a tag, and a share of each round.
constexpr std::size_t kSubscribersMax = 64;
// Of wills that clients have left with us, connected ones too; as much as unfinished packets may hold over all.
constexpr std::size_t kWillBytesMax = std::size_t{16} * 1024 * 1024;
constexpr std::size_t kWillOverhead = 1024;  // that each counts beside its texts, so that there are not too many

}  // namespace

ListenerCore::ListenerCore(const MqttListenerOptions& options, std::unique_ptr<MessageDecoder> decoder,
                           std::unique_ptr<UserList> users, const Clock& clock, std::function<void()> wake)
    : options_(options),
      users_(std::move(users)),
      clock_(clock),
      inbox_({.ack = options.ack}, std::move(decoder), clock, std::move(wake)) {}

SessionHost::Admission ListenerCore::admit(ListenerSession& session, const mqtt::ConnectPacket& connect,
                                           const std::string& client_id) {
  if (users_) {
    const auto& name = connect.user_name;
    if (!name || !users_->admits(*name, connect.password.value_or(""))) {
      refuse("bad_login", fmt::format("client \"{}\", user \"{}\"", clip(client_id), clip(name.value_or(""))));
      return {ReasonCode::bad_user_name_or_password, nullptr, false};
    }
  }
  if (!keeps_notes()) {
    refuse("journal", fmt::format("client \"{}\" is turned away: what is known of sessions can be neither kept nor "
                                  "removed, and a later start would take messages of QoS 2 for repeats",
                                  clip(client_id)));
    return {ReasonCode::server_unavailable, nullptr, false};
  }
  const Known before = known_of(client_id);
  const UserDigest user = user_digest(connect.user_name.value_or(""));
  if (!has_room_for_will(connect, client_id, user)) {
    refuse("will_quota", fmt::format("client \"{}\" brings a will, and those of all clients have {} bytes already",
                                     clip(client_id), will_bytes_));
    return {ReasonCode::quota_exceeded, nullptr, false};
  }
  const bool is_its_own = before.state != nullptr && before.state->owner == user;
  // Otherwise it is told that it has no session any more.
  const std::size_t others_watching = watching_ - (before.watches ? 1 : 0);
  const bool has_room = is_its_own && (!before.state->subscriber || others_watching < kSubscribersMax);
  const bool resumed = has_room && !connect.clean_start;
  std::shared_ptr<ClientState> state = before.state;
  if (!resumed) {
    state = std::make_shared<ClientState>();
    state->owner = user;
  }
  if (!note_admission(client_id, asked_session_expiry(connect), before, *state)) {
    return {ReasonCode::server_unavailable, nullptr, false};
  }
  ListenerSession* const old = end_place_of(client_id);
  end_delays(client_id, user, connect.clean_start);
  Present& present = sessions_[client_id];
  present = {&session, state, !resumed};
  note_watching(present);
  if (old != nullptr) take_will(*old);
  hold_will(session, connect, client_id);
  return {ReasonCode::success, state, resumed};
}

ListenerCore::Known ListenerCore::known_of(const std::string& client_id) const {
  if (const auto found = sessions_.find(client_id); found != sessions_.end()) {
    return {found->second.state, found->second.session->session_expiry(), found->second.watches};
  }
  const auto left = left_behind_.find(client_id);
  if (left == left_behind_.end()) return {};
  return {left->second.state, std::max(left->second.expires - clock_.boot_now(), Duration::zero()), false};
}

// False when that cannot be kept: then the client is turned away, and what it had before stays as it was.
bool ListenerCore::note_admission(const std::string& client_id, Duration expiry, const Known& before,
                                  const ClientState& state) {
  if (journal_ == nullptr) return true;
  const bool resumed = &state == before.state.get();
  if (!resumed) forget(client_id);
  keep(client_id, expiry, state);
  journal_->flush();
  if (keeps_notes()) return true;
  if (!resumed) forget(client_id);
  if (before.state == nullptr) return false;
  if (journal_->sessions().contains(client_id)) {
    keep(client_id, before.expiry, *before.state);
  } else {
    note_state(client_id, before.expiry, *before.state);
  }
  return false;
}

// The connection of before, if there is one.
ListenerSession* ListenerCore::end_place_of(const std::string& client_id) {
  left_behind_.erase(client_id);
  const auto found = sessions_.find(client_id);
  if (found == sessions_.end()) return nullptr;
  ListenerSession& old = *found->second.session;
  if (found->second.state->subscriber) found->second.state->subscriber->leave();
  remove(found);
  old.end(ReasonCode::session_taken_over, "another connection uses its client id");
  if (taken_over_) taken_over_(old);
  return &old;
}

void ListenerCore::use_journal(SessionJournal& journal) {
  journal_ = &journal;
  if (journal.sessions().empty()) return note_all();
  for (const auto& [client_id, session] : journal.sessions()) {
    auto state = std::make_shared<ClientState>();
    state->owner = session.owner;
    // Their PUBRECs wait until all that the log had before is durable.
    for (const auto& [packet_id, message] : session.taken) state->qos2_taken[packet_id] = {1, message.digest};
    left_behind_[client_id] = {std::move(state), clock_.boot_now() + session.expiry, ++departures_};
  }
  noted_ = inbox_.draw_ticket();
}

void ListenerCore::note_all() {
  const BootTime now = clock_.boot_now();
  for (const auto& [client_id, present] : sessions_) {
    note_state(client_id, present.session->session_expiry(), *present.state);
  }
  for (const auto& [client_id, left] : left_behind_) {
    note_state(client_id, std::max(left.expires - now, Duration::zero()), *left.state);
  }
  journal_->flush();
}

// The log is told of what it has of these with the next message of QoS 2; until then a kill makes repeats of them.
void ListenerCore::note_state(const std::string& client_id, Duration expiry, const ClientState& state) {
  keep(client_id, expiry, state);
  for (const auto& [packet_id, taken] : state.qos2_taken) {
    journal_->take(client_id, packet_id, {taken.ticket, taken.digest});
  }
}

// What ends with the connection need not be known again. Subscriptions do not outlive the process, and a client that is
// told that its session does would wait for ever for what it believes to be subscribed to.
void ListenerCore::keep(const std::string& client_id, Duration expiry, const ClientState& state) {
  if (journal_ == nullptr) return;
  if (expiry == Duration::zero() || state.subscriber) {
    journal_->forget(client_id);
  } else {
    journal_->keep(client_id, expiry, state.owner);
  }
}

void ListenerCore::forget(const std::string& client_id) {
  if (journal_ != nullptr) journal_->forget(client_id);
}

void ListenerCore::note_taken(const ListenerSession& session, const mqtt::PublishPacket& publish, Ticket ticket) {
  if (journal_ == nullptr || session.session_expiry() == Duration::zero()) return;
  journal_->take(session.client_id(), publish.packet_id, {ticket, message_digest(publish.topic, publish.payload)});
  noted_ = ticket;
}

// Written before the PUBCOMP leaves: then the next message under this id is no repeat to the next process either.
bool ListenerCore::note_released(const ListenerSession& session, std::uint16_t packet_id) {
  if (journal_ == nullptr) return true;
  journal_->release(session.client_id(), packet_id);
  journal_->flush();
  return journal_->is_sound();
}

bool ListenerCore::has_room_for_qos2(const ListenerSession& session) const {
  return journal_ == nullptr || session.session_expiry() == Duration::zero() ||
         journal_->has_room_for(session.client_id());
}

// Of the system's randomness: one that was given out by an earlier process, or that somebody has guessed, would lead
// into another client's session.
std::string ListenerCore::make_client_id() {
  std::random_device random;
  std::string id;
  do id = fmt::format("tidegate-{:08x}{:08x}{:08x}{:08x}", random(), random(), random(), random());
  while (sessions_.contains(id) || left_behind_.contains(id));
  return id;
}

bool ListenerCore::may_publish(const ListenerSession& session, std::string_view topic) {
  const bool is_ours = !options_.watch.empty() && is_watched_tree(topic);
  if (!is_ours && drivers::may_publish(options_.rights, session.user_name(), session.client_id(), topic)) return true;
  refuse("not_authorized", fmt::format("client \"{}\", user \"{}\", topic \"{}\"", clip(session.client_id()),
                                       clip(session.user_name()), clip(topic)));
  return false;
}

SessionHost::Taken ListenerCore::take(const ListenerSession&, std::string_view topic, std::string_view payload,
                                      bool duplicate) {
  const Ticket before = inbox_.taken();
  const Refusal refusal = decode(topic, payload, duplicate);
  if (duplicate && refusal == Refusal::none) return {inbox_.taken(), ReasonCode::success};
  if (inbox_.taken() > before) return {inbox_.taken(), ReasonCode::success};
  return {inbox_.taken(),
          refusal == Refusal::no_such_topic ? ReasonCode::no_matching_subscribers : ReasonCode::payload_format_invalid};
}

Refusal ListenerCore::decode(std::string_view topic, std::string_view payload, bool duplicate) {
  const Refusal refusal = inbox_.take(topic, payload, false, duplicate);
  for (const SparkplugNodeName& node : inbox_.decoder().take_rebirths()) {
    refuse("rebirth_unasked",
           fmt::format("Sparkplug node {}/{} should be asked for a rebirth, but a listener sends nothing to clients: "
                       "what it sends without names is lost until it connects again",
                       clip(node.group), clip(node.node)));
  }
  return refusal;
}

mqtt::ReasonCode ListenerCore::subscribe(ListenerSession& session, const mqtt::SubscribeEntry& entry) {
  const auto asks = [&] {
    return fmt::format("client \"{}\", user \"{}\" wants \"{}\"", clip(session.client_id()), clip(session.user_name()),
                       clip(entry.filter));
  };
  const bool may = drivers::may_watch(options_.watch, session.user_name(), session.client_id(), entry.filter);
  if (!may || latest_ == nullptr) {
    refuse("subscription", asks() + ", but no table \"watch\" of the listener allows all of it");
    return ReasonCode::not_authorized;
  }
  if (session.subscriber() == nullptr) {
    if (watching_ >= kSubscribersMax) {
      refuse("subscription",
             asks() + fmt::format(", but {} clients have subscriptions, as many as may", kSubscribersMax));
      return ReasonCode::quota_exceeded;
    }
    // Before it is told that it is subscribed.
    forget(session.client_id());
    if (journal_ != nullptr) journal_->flush();
  }
  Subscriber& subscriber = session.watch(*latest_);
  if (const auto found = sessions_.find(session.client_id()); found != sessions_.end()) {
    note_watching(found->second);
  }
  const ReasonCode reason = subscriber.subscribe(entry);
  if (mqtt::is_failure(reason)) refuse("subscription", asks() + ", but has as many subscriptions as it may");
  return reason;
}

void ListenerCore::note_unread_filters(const ListenerSession& session, std::size_t count) {
  refuse("subscription",
         fmt::format("client \"{}\", user \"{}\" sent a SUBSCRIBE or an UNSUBSCRIBE with {} filters more than are read",
                     clip(session.client_id()), clip(session.user_name()), count));
}

// Clients that ask and ask again are many; the sessions are not gone through for each.
void ListenerCore::note_watching(Present& present) {
  if (present.watches || !present.state->subscriber) return;
  present.watches = true;
  ++watching_;
}

void ListenerCore::remove(std::map<std::string, Present>::iterator present) {
  if (present->second.watches) --watching_;
  sessions_.erase(present);
}

void ListenerCore::gone(ListenerSession& session) {
  take_will(session);
  const auto found = sessions_.find(session.client_id());
  if (found == sessions_.end() || found->second.session != &session) return;  // another connection has taken over
  auto state = std::move(found->second.state);
  remove(found);
  leave_behind(session, std::move(state));
}

std::size_t ListenerCore::ids_left_behind() const {
  std::size_t ids = 0;
  for (const auto& left : left_behind_) ids += left.second.state->qos2_taken.size();
  return ids;
}

std::size_t ListenerCore::subscriber_bytes_left_behind() const {
  std::size_t bytes = 0;
  for (const auto& left : left_behind_) {
    if (left.second.state->subscriber) bytes += left.second.state->subscriber->kept_bytes();
  }
  return bytes;
}

// Of those that are meant, the one that left first: how long it wants to be remembered is not asked.
void ListenerCore::forget_first_gone(bool (*is_meant)(const LeftBehind&)) {
  auto first = left_behind_.end();
  for (auto at = left_behind_.begin(); at != left_behind_.end(); ++at) {
    if (!is_meant(at->second)) continue;
    if (first == left_behind_.end() || at->second.departure < first->second.departure) first = at;
  }
  if (first == left_behind_.end()) return;
  forget(first->first);
  left_behind_.erase(first);
}

void ListenerCore::leave_behind(ListenerSession& session, std::shared_ptr<ClientState> state) {
  const Duration expiry = session.session_expiry();
  if (state->subscriber) state->subscriber->leave();
  keep(session.client_id(), expiry, *state);
  if (expiry == Duration::zero()) return;
  if (left_behind_.size() >= kLeftBehindMax) forget_first_gone([](const LeftBehind&) { return true; });
  const std::size_t ids = state->qos2_taken.size();
  for (std::size_t held = ids_left_behind(); held > 0 && held + ids > kLeftBehindIdsMax; held = ids_left_behind()) {
    forget_first_gone([](const LeftBehind& left) { return !left.state->qos2_taken.empty(); });
  }
  const std::size_t bytes = state->subscriber ? state->subscriber->kept_bytes() : 0;
  while (bytes > 0 && subscriber_bytes_left_behind() + bytes > kLeftBehindSubscriberBytesMax) {
    forget_first_gone([](const LeftBehind& left) { return left.state->subscriber != nullptr; });
  }
  left_behind_[session.client_id()] = {std::move(state), clock_.boot_now() + expiry, ++departures_};
}

std::size_t ListenerCore::bytes_of_will(const mqtt::ConnectPacket& connect, const std::string& client_id) {
  return kWillOverhead + client_id.size() + connect.will->topic.size() + connect.will->payload.size();
}

void ListenerCore::hold_will(const ListenerSession& session, const mqtt::ConnectPacket& connect,
                             const std::string& client_id) {
  if (!connect.will) return;
  const std::size_t bytes = bytes_of_will(connect, client_id);
  will_bytes_ += bytes;
  held_wills_[&session] = bytes;
}

// The will of before makes room for the one that the client brings: it is not due any more, or goes out. (While the log
// takes nothing it waits, and all are one too many.) Those that wait for their delay go out early before one is turned
// away.
bool ListenerCore::has_room_for_will(const mqtt::ConnectPacket& connect, const std::string& client_id,
                                     const UserDigest& owner) {
  if (!connect.will) return true;
  const std::size_t bytes = bytes_of_will(connect, client_id);
  if (will_bytes_ + bytes <= kWillBytesMax) return true;
  const BootTime now = clock_.boot_now();
  const auto ends = [&](const auto& waiting) {
    return !connect.clean_start && waiting.second.is_delayed_of(client_id, owner, waiting.first, now);
  };
  std::size_t ending = bytes_held_of(client_id);
  for (const auto& waiting : wills_) ending += ends(waiting) ? waiting.second.bytes() : 0;
  const auto has_room = [&] { return will_bytes_ + bytes <= kWillBytesMax + ending; };
  for (auto at = wills_.begin(); at != wills_.end() && !has_room() && wants_messages();) {
    at = ends(*at) ? std::next(at) : publish_will(at);
  }
  return has_room();
}

std::size_t ListenerCore::bytes_held_of(const std::string& client_id) const {
  const auto found = sessions_.find(client_id);
  if (found == sessions_.end()) return 0;
  const auto held = held_wills_.find(found->second.session);
  return held == held_wills_.end() ? 0 : held->second;
}

// Who is back in time has no will with a delay due any more (section 3.1.3.2.2). A clean start has ended the session,
// and with it the delay. What is due already only waits for the log.
void ListenerCore::end_delays(const std::string& client_id, const UserDigest& owner, bool session_has_ended) {
  const BootTime now = clock_.boot_now();
  std::vector<DueWill> due;
  std::erase_if(wills_, [&](const auto& waiting) {
    const DueWill& will = waiting.second;
    if (!will.is_delayed_of(client_id, owner, waiting.first, now)) return false;
    if (session_has_ended) {
      due.push_back(will);
    } else {
      will_bytes_ -= will.bytes();
    }
    return true;
  });
  for (DueWill& will : due) wills_.emplace(now, std::move(will));
}

// A client that is back already in the same session has no will with a delay due any more (section 3.1.3.2.2); a clean
// start, or another user, has ended the session, and with it the delay.
void ListenerCore::take_will(ListenerSession& session) {
  if (const auto held = held_wills_.extract(&session); !held.empty()) will_bytes_ -= held.mapped();
  auto will = session.take_will();
  if (!will) return;
  const auto found = sessions_.find(session.client_id());
  const bool is_taken_over = found == sessions_.end() || found->second.session != &session;
  if (is_taken_over && will->delay > Duration::zero()) {
    if (found == sessions_.end() || !found->second.is_new) return;
    will->delay = Duration::zero();
  }
  if (!may_publish(session, will->topic)) return;
  const BootTime now = clock_.boot_now();
  const DueWill due{session.client_id(), user_digest(session.user_name()), std::move(will->topic),
                    std::move(will->payload)};
  will_bytes_ += due.bytes();
  wills_.emplace(now + will->delay, due);
  publish_wills(now);
}

std::size_t ListenerCore::DueWill::bytes() const {
  return kWillOverhead + client_id.size() + topic.size() + payload.size();
}

bool ListenerCore::DueWill::is_delayed_of(const std::string& client, const UserDigest& user, BootTime due,
                                          BootTime now) const {
  return due > now && client_id == client && owner == user;
}

// Returns the next one.
ListenerCore::Wills::iterator ListenerCore::publish_will(Wills::iterator will) {
  const DueWill due = std::move(will->second);
  const auto next = wills_.erase(will);
  will_bytes_ -= due.bytes();
  decode(due.topic, due.payload, false);
  return next;
}

// As messages wait in their sockets while the log takes nothing, wills wait here: a kilobyte becomes many readings.
void ListenerCore::publish_wills(BootTime now) {
  while (!wills_.empty() && wills_.begin()->first <= now && wants_messages()) publish_will(wills_.begin());
}

void ListenerCore::settled() {
  inbox_.settled();
  publish_wills(clock_.boot_now());
}

void ListenerCore::tick(BootTime now) {
  publish_wills(now);
  std::erase_if(left_behind_, [&](const auto& left) {
    if (left.second.expires > now) return false;
    forget(left.first);
    return true;
  });
  if (journal_ != nullptr) journal_->tidy_up();
}

bool ListenerCore::collect(Intake& into) {
  const bool is_whole = noted_ == marked_;
  const bool has_more =
      inbox_.collect(into, is_whole ? inbox_.messages() : inbox_.messages_within(kNotedReadingsMax, kNotedBytesMax));
  if (noted_ > marked_) {
    journal_->flush();  // before the log has the messages
    into.mark = QueueMark{journal_->queue_id(), inbox_.collected()};
    marked_ = std::min(noted_, inbox_.collected());
  }
  return has_more;
}

ListenerCore::Counters ListenerCore::counters() const {
  Counters all = counters_;
  all.refused.merge(inbox_.decoder().refused());
  all.remarked = inbox_.decoder().remarked();
  return all;
}

void ListenerCore::refuse(const std::string& why, const std::string& detail) {
  ++counters_.refused[why];
  const auto left_out = complaints_.admit(why, clock_.boot_now());
  if (!left_out) return;
  log_warning(options_.name, "{}: {}{}", why, detail, since_last_line(*left_out));
}

}  // namespace tidegate::drivers
