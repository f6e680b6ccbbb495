#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "buffer/ring_log.h"
#include "buffer/state_store.h"
#include "core/clock.h"
#include "core/clock_history.h"
#include "core/log.h"
#include "daemon/disk_feed.h"
#include "daemon/event_loop.h"
#include "daemon/link_doubt.h"
#include "daemon/start_marks.h"
#include "daemon/worker.h"
#include "uplink/forwarder.h"
#include "uplink/transport.h"

namespace tidegate::daemon {

/// What an uplink runs on; all of it outlives the runner.
struct UplinkEnvironment {
  buffer::RingLog* log = nullptr;
  EventLoop* loop = nullptr;
  Worker* storage = nullptr;
  const Clock* clock = nullptr;
  const ClockHistory* clock_history = nullptr;
  ClockRecords* clock_records = nullptr;
  const TagRegistry* tags = nullptr;
  std::string gateway;
  std::function<void(std::string event)> record_event{};
  const StartMarks* marks = nullptr;  // of the log
  /// Keeps the record durably where the uplink may have one more, and answers. Without it none is given up.
  std::function<void(const std::string& uplink, const uplink::RefusedRecord& record,
                     const buffer::DeadLetterLimits& limits, std::function<void(const Result<void>&)> done)>
      keep_dead_letter{};
};

/// Brings together one forwarder, the log it reads and the transport that carries its batches. Core thread; the
/// transport's reports are posted to it.
class UplinkRunner {
 public:
  using TransportMaker = std::function<std::unique_ptr<uplink::Transport>(uplink::TransportHandlers)>;

  UplinkRunner(uplink::ForwarderOptions options, UplinkEnvironment environment, const TransportMaker& make_transport);
  ~UplinkRunner();
  UplinkRunner(const UplinkRunner&) = delete;
  UplinkRunner& operator=(const UplinkRunner&) = delete;

  /// For a target to which no link stands: it is taken to be up until something fails, which is told as news only with
  /// the first batch that it has taken. Before start().
  void prove_by_batch() { is_unproven_ = true; }
  /// Where the stored cursor stands; without one the stream begins at the oldest record kept. Before start().
  void restore(const buffer::StoredCursor& cursor);
  Result<void> start();
  /// From here on no event tells of its link, and it is woken by what the transport reports alone.
  void begin_stop();
  /// Gives what is on its way `grace` to be acknowledged, then ends the transport. After begin_stop(); any thread,
  /// while the core waits for it.
  void end_transport(Duration grace);
  /// Both, while the core goes on: `helper` waits, and `done` is called on the core thread when the transport has
  /// ended. Acknowledgements that come meanwhile count. The helper's thread ends before this is destroyed.
  void leave(Worker& helper, Duration grace, std::function<void()> done);

  /// The log has grown: reads on and sends.
  void pump();

  const std::string& name() const { return forwarder_.options().name; }
  const uplink::Forwarder& forwarder() const { return forwarder_; }
  std::vector<buffer::StoredCursor> cursors() const;
  /// Moves the cursor of a stream to a place of the log; what it comes to is in the answer. Not durable by itself.
  uplink::CursorMove plan_move(Stream stream, Position to) const;
  /// What is still to be sent: the stretches that the lane backlog goes through, and what lies behind the lane live.
  std::vector<uplink::SkippedStretch> open_stretches(Stream stream) const;
  void move(Stream stream, const uplink::CursorMove& move);

  /// Sends a record that was given up once more, outside of the chain, one at a time, and answers when the target did.
  /// Errors: `give_up_item` with what the target says when it refuses it for what it is, `link_down` when the link is,
  /// `invalid` where this uplink cannot, `retry` for the rest; then nothing is known.
  void send_letter(const buffer::DeadLetter& letter, std::function<void(const Result<void>&)> done);

  /// Keeps the record that the target refuses now as a dead letter at once, as somebody asks who has looked at it.
  /// Errors: `invalid` when it is not the one, `full` and `retry` when it cannot be kept.
  void put_aside(Stream stream, Position at, std::function<void(const Result<void>&)> done);

  /// The accounting equation of a stream, term by term: accepted + replayed = delivered + filtered + pending + dropped.
  /// Dropped is also what the log has given up and this uplink has yet to come to: pending is only what can still be
  /// sent.
  struct Balance {
    uplink::Accounting counts;
    std::uint64_t accepted = 0;
    std::uint64_t pending = 0;
    /// By how much the two sides differ: not 0 is a mistake of this program.
    std::uint64_t mismatch() const;
  };
  Balance balance(Stream stream) const;
  /// Says so in the log, once, if the accounts of a stream do not hold.
  void check_accounts();
  /// Whether what is sent arrives, as far as the transport knows.
  bool is_up() const { return up_; }
  const std::string& detail() const { return detail_; }
  /// What the target refuses while it is not known yet whether a record is to blame, for how long, and what helps;
  /// empty when it refuses nothing. It is up all the same, for a time.
  std::string refused() const;
  /// What is held back by the time of day, in words; empty when nothing is.
  std::string waiting() const;
  /// Whether a stream is, at this time.
  bool is_held(Stream stream) const;
  BootTime since() const { return since_; }

 private:
  uplink::TransportHandlers handlers();
  void read_on();
  /// False when nothing more can be supplied now.
  bool take(const uplink::ReadDemand& demand, const buffer::ReadOutcome& outcome);
  /// False when the rest of it is to be read again.
  bool take_whole(uplink::LaneOf of, const buffer::ReadOutcome& outcome);
  void supply(const uplink::ReadDemand& demand, const RecordBatch& batch);
  void request_from_disk(const uplink::ReadDemand& demand);
  void supply_gap(const uplink::ReadDemand& demand, const buffer::ReadOutcome& outcome);
  bool is_to_its_end(const uplink::ReadDemand& demand) const;
  void on_read(uplink::LaneOf of, const Result<DiskFeed::Outcomes>& outcomes);
  /// What to read next, of the lanes whose reads do not pause.
  std::optional<uplink::ReadDemand> next_demand() const;
  void pause_reading(uplink::LaneOf of);
  /// When the windows open next; nothing while one is, or there are none.
  std::optional<WallTime> next_opening() const;
  bool obeys_windows(Stream stream) const;
  void look_at_windows();
  void send_ready();
  void on_link(bool up, const std::string& detail);
  void on_placed(const uplink::TargetCursor& cursor);
  bool is_where(Stream stream, Position place) const;
  void on_trouble(const std::string& reason);
  std::string doubt() const;
  void look_at_doubt();
  void show_link();
  void on_done(std::uint64_t batch_id, bool ok);
  void on_failed(std::uint64_t batch_id, const uplink::BatchFailure& how);
  void give_up(const uplink::RefusedRecord& record, std::function<void(const Result<void>&)> done = {});
  void on_dead(const uplink::RefusedRecord& record);
  void on_not_kept(const uplink::RefusedRecord& record, const std::string& why);
  void note_refusal(uplink::LaneOf of, const std::string& answer);
  const std::string* lasting_refusal() const;
  /// What was refused may be taken since, or have gone aside: something of that lane is acknowledged.
  void look_at_refusals(uplink::LaneOf acknowledged);
  void forget_refusals(Stream stream);
  /// The first record that the lane has not delivered.
  Position place_of(uplink::LaneOf of) const;
  bool is_undelivered(Stream stream, Position at) const;
  /// False when the batch is of the chain.
  bool end_letter(std::uint64_t batch_id, const Result<void>& result);

  UplinkEnvironment environment_;
  uplink::Forwarder forwarder_;
  std::array<bool, kStreamCount> has_place_{};       // of each stream
  std::array<std::uint32_t, kStreamCount> moves_{};  // what was read for the place before is of no use
  bool mismatch_said_ = false;
  uplink::PerLane<std::unique_ptr<DiskFeed>> feeds_;
  uplink::PerLane<BootTime> read_again_at_;  // after a read that gave nothing
  std::unique_ptr<Timer> timer_;
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
  std::unique_ptr<uplink::Transport> transport_;
  bool link_up_ = false;
  std::string link_detail_;
  std::optional<LinkDoubt> doubt_;  // where links do not end as a matter of course
  std::string trouble_;
  struct NotKept {
    Position cursor;  // of the lane, as long as it is there
    std::string why;
  };
  uplink::PerLane<std::optional<NotKept>> not_kept_;  // records that are refused for good
  struct Refused {
    Position cursor;  // of the lane, as long as it is there
    BootTime since;
    std::string text;
  };
  uplink::PerLane<std::optional<Refused>> refused_;
  struct LetterOnItsWay {
    std::uint64_t batch_id = 0;
    Stream stream = Stream::readings;
    std::function<void(const Result<void>&)> done;
  };
  std::optional<LetterOnItsWay> letter_;
  bool is_told_ = false;      // whether it is up, by an event
  bool is_unproven_ = false;  // nothing was sent yet that would show that it is up
  bool stopping_ = false;
  bool up_ = false;  // the link stands and there is no trouble
  ComplaintFilter complaints_;
  std::string detail_ = "not connected yet";
  BootTime since_{};
};

}  // namespace tidegate::daemon
