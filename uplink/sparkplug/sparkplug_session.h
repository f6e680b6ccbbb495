#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "core/log.h"
#include "core/tag_write.h"
#include "core/time.h"
#include "uplink/forwarder.h"
#include "uplink/options.h"
#include "uplink/sparkplug/batch_parts.h"
#include "uplink/sparkplug/device_metrics.h"
#include "uplink/sparkplug/host_state.h"
#include "uplink/sparkplug/sparkplug_names.h"
#include "uplink/token_bucket.h"

namespace tidegate::uplink {

struct SparkplugMessage {
  std::uint64_t ticket = 0;
  std::string topic;
  std::string payload;
  int qos = 1;
};

/// What a session wants done, in this order.
struct SparkplugOrders {
  struct LinkNews {
    bool up = false;
    std::string detail;
  };
  struct Done {
    std::uint64_t batch_id = 0;
    bool ok = false;
    std::string refusal{};  // why it can never be sent
  };

  std::vector<SparkplugMessage> messages;  // to be published as they stand
  std::vector<TagWrite> writes;            // what was commanded, and why of it is not to be done
  std::vector<Done> done;                  // batches of which there is nothing more to wait for
  std::optional<LinkNews> link;            // whether batches are wanted
  bool reconnect = false;                  // the connection is to be ended, and made again
};

/// What a Sparkplug edge node says when: births before data, numbers from 0 to 255 over all of its messages, aliases,
/// rebirths, and whether its primary host is there. Devices and aliases stay from connection to connection; nothing is
/// kept over a restart. Passive: no socket, no thread, no clock; one thread. Data from outside is checked here.
class SparkplugSession {
 public:
  struct Now {
    BootTime boot;
    WallTime wall;
    ClockQuality quality = ClockQuality::unsynced;  // of the wall clock
  };

  SparkplugSession(std::string uplink, const SparkplugOptions& options, std::string gateway);

  /// The connection stands, and the subscriptions to commands and to the host's state, but for what `remark` says; its
  /// will has this number.
  void connected(std::uint64_t bd_seq, const std::string& remark, Now now);
  void disconnected(const std::string& why);
  /// A connection is tried: what was told before is of another one.
  void connecting(const std::string& why);
  struct Message {
    std::string_view topic;
    std::string_view payload;
    bool is_retained = false;
    bool is_duplicate = false;  // the broker sent it before
  };
  /// A message of one of the subscriptions.
  void take_message(const Message& message, Now now);
  void take_batch(const OutgoingBatch& batch, Now now);
  void published(std::uint64_t ticket, bool ok, Now now);
  /// Says goodbye; nothing is sent after it. Fails all batches that are open.
  void end(Now now);
  /// Fails all batches that are open.
  void give_up();
  /// At next_deadline().
  void tick(Now now);
  std::optional<BootTime> next_deadline() const;

  /// What has to be done since the last call.
  SparkplugOrders take_orders() { return std::exchange(orders_, {}); }
  bool has_open_batches() const { return !batches_.empty() || !waiting_.empty(); }

  /// Between a birth of all that is acknowledged and the next; a command that comes earlier is answered then.
  static constexpr Duration kBirthPause = std::chrono::seconds(5);
  /// A host whose clock went back says what is older than its last word. A new connection brings what the broker has
  /// retained, whatever its time: after such a word one is made, at the earliest after this.
  static constexpr Duration kAskAgain = std::chrono::minutes(5);
  /// So many messages and, but for the last one, bytes are on their way at a time. The client sends no more than 1,000
  /// without an acknowledgement, and a death must not wait behind others.
  static constexpr std::size_t kOnTheirWayMost = 900;
  static constexpr std::size_t kBytesOnTheirWayMost = 1024 * 1024;
  /// Metrics that are commanded, a second and at once; what comes faster is left out, and the log says so.
  static constexpr double kCommandsPerSecond = 100;
  static constexpr double kCommandsAtOnce = 2000;

 private:
  enum class State : std::uint8_t {
    down,
    waiting,  // for the primary host
    born,
    leaving,  // the death is on its way
  };
  struct Open {
    std::size_t messages = 0;
    bool is_complete = false;  // all of them were made
  };
  struct Ticket {
    std::uint64_t batch = 0;
    bool is_rebirth = false;  // of all
    std::size_t bytes = 0;
  };
  struct Unsent {
    SparkplugMessage message;
    Ticket ticket;
  };
  // A batch of which messages are made, a device at a time.
  struct Work {
    std::uint64_t batch = 0;
    std::vector<std::string> devices;  // with something pending
    std::size_t next = 0;
  };
  static constexpr std::uint64_t kNoBatch = 0;  // batches have ids from 1

  void take_state(std::string_view payload, Now now);
  void pass_over_older(const HostState& state, Now now);
  void take_node_command(const Message& message, Now now);
  void take_device_command(const Message& message, Now now);
  struct Command;
  void take_command(const Command& command, mqtt::SparkplugMetric& metric, Now now);
  std::string why_no_command(const Command& command, const mqtt::SparkplugMetric& metric, Now now) const;
  std::optional<SparkplugMetrics::Known> known(const std::string& device, const mqtt::SparkplugMetric& metric) const;
  void complain(std::string_view kind, Now now, const std::string& text);
  void wait_for_host(const std::string& why);
  void leave(const std::string& why, Now now);
  void tell_link(bool up, const std::string& detail);

  void give_birth(Now now);
  void publish_births(Now now);
  void publish_node_birth(Now now);
  void publish_next(Now now);
  void hand_over();
  bool begin_batch(Now now);
  void publish_part(Now now);
  void flush(const std::string& device, Now now, std::uint64_t batch);
  void publish(std::string_view kind, std::string_view device, std::vector<mqtt::SparkplugMetric> metrics, Now now,
               Ticket ticket);
  void break_off(Now now);
  void fail_batches();
  void publish_death(Now now);
  void close(std::uint64_t batch_id);
  SparkplugMetrics& metrics(const std::string& device);

  const std::string uplink_;
  const SparkplugOptions options_;
  const std::string gateway_;
  const SparkplugNames names_;
  SparkplugBatchParser parser_;
  SparkplugAliases aliases_;
  std::map<std::string, SparkplugMetrics> devices_;  // by name; "" is the node

  State state_ = State::down;
  std::uint64_t bd_seq_ = 0;
  std::string remark_;  // on the connection
  std::uint8_t seq_ = 0;
  std::optional<HostState> host_;  // as this connection has told
  std::optional<BootTime> asks_again_at_;
  BootTime born_at_{};  // all, or when that was acknowledged
  bool wants_births_ = false;
  bool is_broken_ = false;  // a message is missing: receivers pass over all that comes before the next births
  std::optional<BootTime> leaves_by_;

  std::uint64_t last_ticket_ = 0;
  std::uint64_t death_ticket_ = 0;
  std::deque<Unsent> unsent_;
  std::unordered_map<std::uint64_t, Ticket> tickets_;  // on their way
  std::size_t bytes_on_their_way_ = 0;
  std::size_t open_rebirths_ = 0;  // messages of births of all, in both
  std::unordered_map<std::uint64_t, Open> batches_;
  std::optional<Work> work_;
  std::deque<OutgoingBatch> waiting_;
  SparkplugOrders orders_;
  TokenBucket commands_{kCommandsPerSecond, kCommandsAtOnce};
  ComplaintFilter complaints_;
};

}  // namespace tidegate::uplink
