#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>

#include "drivers/driver.h"
#include "drivers/mqtt/inbox.h"
#include "drivers/mqtt_listener/session.h"
#include "drivers/mqtt_listener/session_journal.h"
#include "drivers/mqtt_listener/user_list.h"

namespace tidegate::drivers {

/// What the connections of a listener share: who may come in, what was taken and is on its way into the log, what
/// clients leave behind. It knows when a message is safe, and so which tickets may be released.
///
/// Passive; the core thread. Sessions outlive nothing: gone() is called for each before it is destroyed.
class ListenerCore final : public SessionHost {
 public:
  struct Counters {
    std::map<std::string, std::uint64_t> refused;   // clients and messages, by reason
    std::map<std::string, std::uint64_t> remarked;  // as in DriverStatus
  };

  ListenerCore(const MqttListenerOptions& options, std::unique_ptr<MessageDecoder> decoder,
               std::unique_ptr<UserList> users, const Clock& clock, std::function<void()> wake);

  /// Called for a session that was ended by another's coming; its connection is to be flushed and closed.
  void on_taken_over(std::function<void(ListenerSession&)> action) { taken_over_ = std::move(action); }
  /// Clients have the sessions again that it knows, and it is told of what changes. It outlives this. Before the first
  /// client comes; later when it knows of no session, then it is told of those that are there.
  void use_journal(SessionJournal& journal);
  /// While there is a journal that can be neither read nor removed nobody comes in: a later process would believe it.
  void close_for_journal(bool is_closed) { is_closed_ = is_closed; }

  /// What clients with a right to watch can subscribe to; it outlives this. Before the first client comes.
  void use_latest(LatestValues& latest) { latest_ = &latest; }

  /// Who may come in from here on; who is in stays.
  void use_users(std::unique_ptr<UserList> users) { users_ = std::move(users); }

  // SessionHost.
  Admission admit(ListenerSession& session, const mqtt::ConnectPacket& connect, const std::string& client_id) override;
  std::string make_client_id() override;
  bool may_publish(const ListenerSession& session, std::string_view topic) override;
  Taken take(const ListenerSession& session, std::string_view topic, std::string_view payload, bool duplicate) override;
  void note_taken(const ListenerSession& session, const mqtt::PublishPacket& publish, Ticket ticket) override;
  bool note_released(const ListenerSession& session, std::uint16_t packet_id) override;
  bool has_room_for_qos2(const ListenerSession& session) const override;
  mqtt::ReasonCode subscribe(ListenerSession& session, const mqtt::SubscribeEntry& entry) override;
  void note_unread_filters(const ListenerSession& session, std::size_t count) override;

  /// The connection of the session has ended: its will goes out, what it leaves is kept for as long as it asked.
  void gone(ListenerSession& session);
  /// Wills that are due, and what clients left too long ago.
  void tick(BootTime now);

  // Towards the log, as in Driver.
  bool collect(Intake& into);
  void settled();
  void durable(std::uint64_t count) { inbox_.durable(count); }

  /// Messages up to this ticket are safe.
  Ticket safe() const { return inbox_.safe(); }
  /// False while so much waits for the log that nothing more is to be read.
  bool wants_messages() const { return inbox_.wants_messages(); }
  Counters counters() const;

 private:
  struct Present {
    ListenerSession* session = nullptr;
    std::shared_ptr<ClientState> state;
    bool is_new = false;   // that of before, if there was one, has ended
    bool watches = false;  // counted as one that has subscriptions
  };
  /// What there is of a client that wants in.
  struct Known {
    std::shared_ptr<ClientState> state;  // null: nothing
    Duration expiry{};
    bool watches = false;
  };
  struct LeftBehind {
    std::shared_ptr<ClientState> state;
    BootTime expires{};
    std::uint64_t departure = 0;  // the how manyth that left
  };
  struct DueWill {
    std::string client_id;
    UserDigest owner{};
    std::string topic;
    std::string payload;
    std::size_t bytes() const;
    bool is_delayed_of(const std::string& client, const UserDigest& user, BootTime due, BootTime now) const;
  };
  using Wills = std::multimap<BootTime, DueWill>;  // by when they are due

  Known known_of(const std::string& client_id) const;
  bool note_admission(const std::string& client_id, Duration expiry, const Known& before, const ClientState& state);
  ListenerSession* end_place_of(const std::string& client_id);
  static std::size_t bytes_of_will(const mqtt::ConnectPacket& connect, const std::string& client_id);
  bool has_room_for_will(const mqtt::ConnectPacket& connect, const std::string& client_id, const UserDigest& owner);
  std::size_t bytes_held_of(const std::string& client_id) const;
  void hold_will(const ListenerSession& session, const mqtt::ConnectPacket& connect, const std::string& client_id);
  void end_delays(const std::string& client_id, const UserDigest& owner, bool session_has_ended);
  void take_will(ListenerSession& session);
  Wills::iterator publish_will(Wills::iterator will);
  void publish_wills(BootTime now);
  Refusal decode(std::string_view topic, std::string_view payload, bool duplicate);
  void leave_behind(ListenerSession& session, std::shared_ptr<ClientState> state);
  void keep(const std::string& client_id, Duration expiry, const ClientState& state);
  void forget(const std::string& client_id);
  void note_all();
  void note_state(const std::string& client_id, Duration expiry, const ClientState& state);
  bool keeps_notes() const { return !is_closed_ && (journal_ == nullptr || journal_->is_sound()); }
  std::size_t ids_left_behind() const;
  std::size_t subscriber_bytes_left_behind() const;
  void note_watching(Present& present);
  void remove(std::map<std::string, Present>::iterator present);
  void forget_first_gone(bool (*is_meant)(const LeftBehind&));
  void refuse(const std::string& why, const std::string& detail);

  const MqttListenerOptions& options_;
  std::unique_ptr<UserList> users_;  // null: everybody may connect
  const Clock& clock_;
  Inbox inbox_;
  std::function<void(ListenerSession&)> taken_over_;

  std::map<std::string, Present> sessions_;        // by client id
  std::size_t watching_ = 0;                       // of them
  std::map<std::string, LeftBehind> left_behind_;  // by client id
  std::uint64_t departures_ = 0;
  Wills wills_;
  std::map<const ListenerSession*, std::size_t> held_wills_;  // bytes of those of clients that are connected
  std::size_t will_bytes_ = 0;                                // of both

  LatestValues* latest_ = nullptr;
  SessionJournal* journal_ = nullptr;
  bool is_closed_ = false;
  Ticket noted_ = 0;   // the last one that the journal knows
  Ticket marked_ = 0;  // and that the log was told of
  Counters counters_;
  ComplaintFilter complaints_;
};

}  // namespace tidegate::drivers
