#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "core/clock.h"
#include "core/error.h"
#include "core/reading.h"
#include "core/record.h"
#include "core/tag.h"
#include "core/tag_write.h"
#include "core/value_limits.h"

namespace tidegate {
class FileSystem;
}

namespace boost::asio {
class io_context;
}

namespace tidegate::drivers {

class LatestValues;

/// Something that happened to a device or a connection, for the stream `events`.
struct DriverEvent {
  std::string event;   // "device-up", "device-down", "driver-up", "driver-down", "queue-damaged", "queue-set-aside"
  std::string device;  // empty for the driver itself
  std::string detail;  // in words, with what to check
};

/// A value that a tag of the driver is to have.
struct WriteOrder {
  std::uint64_t id = 0;
  TagId tag = kNoTag;
  Value value;
};

/// What became of an order.
struct WriteAnswer {
  std::uint64_t id = 0;
  WriteResult result = WriteResult::unknown;
  std::string reason;  // in words; also of one that was written, where what was read back differs
};

/// What one call of Driver::collect hands over. The daemon clears and reuses it.
struct Intake {
  std::vector<Reading> readings;
  std::vector<DriverEvent> events;
  std::vector<WriteAnswer> answers;
  std::optional<QueueMark> mark;  // how far the driver's own queue is taken with this intake

  void clear() {
    readings.clear();
    events.clear();
    answers.clear();
    mark.reset();
  }
  bool empty() const { return readings.empty() && events.empty() && answers.empty() && !mark; }
};

struct DeviceStatus {
  std::string name;
  bool up = false;
  std::string detail;                             // why it is down
  std::map<std::string, std::uint64_t> requests;  // by result: "ok", "timeout", "illegal_address" ...
};

struct DriverStatus {
  bool up = false;
  std::string detail;  // why it is down
  std::vector<DeviceStatus> devices;
  std::map<std::string, std::uint64_t> refused;   // messages or values not taken, by reason
  std::map<std::string, std::uint64_t> remarked;  // what was taken although something was wrong, by what it was
  std::uint64_t skipped = 0;                      // polls not made because nothing more is collected
  std::uint64_t queue_bytes = 0;                  // waiting between driver and log
  std::uint64_t queue_capacity_bytes = 0;
};

/// A source of readings. Made, started, collected from and stopped on the core thread; a driver's own threads only
/// fill its queue and call `wake`. A driver acknowledges to its source by itself, once it knows enough:
/// when the message is in a queue that survives SIGKILL, or when settled() says so.
class Driver {
 public:
  virtual ~Driver() = default;
  virtual const std::string& name() const = 0;

  /// Begins to work. Unreachable peers are no error: the driver keeps trying and says so in its status.
  virtual Result<void> start() = 0;

  /// Ends the driver's threads; what was accepted before can still be collected. Blocks for at most some seconds.
  virtual void stop() = 0;

  /// After stop(): it still says goodbye to a peer, which needs the core's loop to be turned. Ends by itself, some
  /// seconds later at the most.
  virtual bool is_leaving() const { return false; }

  /// After stop(), when all is settled, where no driver of this name will follow: removes what was kept for one.
  virtual void forget() {}

  /// Appends what has arrived to `into`, some thousand readings at the most, without waiting.
  /// True when there is more.
  virtual bool collect(Intake& into) = 0;

  /// Everything collected so far is written to the log: it survives SIGKILL.
  virtual void settled() = 0;

  /// Whether durable() is of any use to this driver.
  virtual bool waits_for_durable() const { return false; }
  /// What the first `count` calls of settled() covered is durable: it survives a power cut.
  virtual void durable(std::uint64_t /*count*/) {}

  /// The tags that write() takes orders for; the same ones as long as the driver lives.
  virtual std::vector<TagId> writable() const { return {}; }
  /// Takes the order, of which collect() brings the answer: once, some seconds later at the most, and before stop() has
  /// been waited for. The error says why nothing is written, and then no answer comes. Does not wait.
  virtual Result<void> write(const WriteOrder& /*order*/) {
    return fail(ErrorCode::invalid, name() + " writes no tags");
  }

  /// Reads the files again that its options name, such as certificates: for connections from here on, those that are
  /// there go on. Where they cannot be used the old content stays, and the error says why.
  virtual Result<void> read_files_anew() { return {}; }

  /// Checks logins by this list from here on: the content of the file of users. Who is connected stays. Only for a
  /// driver that was made with one; where it cannot be used the old one stays.
  virtual Result<void> take_users(const std::string& /*content*/) { return fail(ErrorCode::invalid, "has no users"); }

  /// Makes durable what the driver keeps of its own about what it has handed over, before the log's records of that
  /// are. Log sync thread.
  virtual void sync_own() {}

  virtual DriverStatus status() const = 0;
};

/// What every driver is given. All of it outlives the driver.
struct DriverContext {
  TagRegistry* tags = nullptr;
  const Clock* clock = nullptr;
  std::function<void()> wake;               // any thread: there is something to collect
  boost::asio::io_context* loop = nullptr;  // of the core thread; for drivers whose sockets it serves
  std::string runtime_dir;                  // for queues in shared memory
  std::string data_dir;                     // for what has to survive more than that
  FileSystem* files = nullptr;              // to use there; null: nothing is kept
  BootId boot_id{};
  std::array<std::uint8_t, 16> log_id{};
  LatestValues* latest = nullptr;                   // null: no driver shows it to anybody
  std::vector<QueueMark> marks;                     // how far the log has taken earlier queues
  std::size_t text_bytes_max = kValueTextBytesMax;  // the longest text of a reading that the log takes
};

}  // namespace tidegate::drivers
