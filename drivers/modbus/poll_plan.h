#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "core/backoff.h"
#include "core/reading.h"
#include "core/time.h"
#include "drivers/modbus/modbus_link.h"
#include "drivers/modbus/read_blocks.h"

namespace tidegate::drivers {

struct PollPlanOptions {
  Duration timeout = std::chrono::milliseconds(500);  // what a dead device costs the bus
  int retries = 1;
  std::uint16_t max_gap = 8;
  Duration backoff_most = std::chrono::seconds(60);
  std::uint64_t seed = 0;
};

/// One request to make now. `tags` is valid until next() is called again, or done() has split the block.
struct Poll {
  std::uint32_t block = 0;
  std::uint16_t device = 0;
  ModbusTable table = ModbusTable::holding;
  std::uint16_t address = 0;
  std::uint16_t count = 0;
  std::span<const std::uint32_t> tags;
  BootTime started{};
};

enum class DeviceChange : std::uint8_t { none, up, down };

/// What follows from a result.
struct PollOutcome {
  bool has_values = false;                   // the poll's tags can be decoded
  Reason bad = Reason::none;                 // else the poll's tags turn bad, when this is set
  DeviceChange device = DeviceChange::none;  // down: all tags of the device turn bad
  std::uint64_t missed = 0;     // times that these tags should have been read since the last poll, and were not
  bool overload_began = false;  // with the first of those: the bus has more to do than it can
  bool split = false;           // the block is now two; both are due
};

/// Decides what the bus asks next; knows neither time nor wire. One thread.
///
/// Deadlines lie on a grid (planned + interval), so that they do not drift. Among the devices that have something due,
/// the one that has used the bus least goes first, so that a slow device delays itself only. A device that does not
/// answer is tried again after growing pauses, with one request and, where there is one, in a gap between the others'
/// polls. A block that a device refuses for its address or length is split until the rest of it can be read, and
/// stays split; one that a device which else answers keeps silent about likewise.
class PollPlan {
 public:
  PollPlan(PollPlanOptions options, std::vector<PlanTag> tags, std::size_t devices, BootTime now);

  /// The request to make now, if any. Must be followed by done().
  std::optional<Poll> next(BootTime now);
  /// When next() may have something; the far future when nothing is planned.
  BootTime wake_at(BootTime now) const;
  PollOutcome done(const Poll& poll, ModbusResult result, BootTime now);

  /// Passes over what is due, because nothing that it would bring could be taken; how many reads that leaves out. The
  /// next read of each block says that some were missed.
  std::uint64_t skip_due(BootTime now);
  /// When a device that answers is to be read next.
  BootTime next_due() const;

  /// The connection is lost: nothing is known of the devices any more, and all of them are due.
  void start_over(BootTime now);

  /// Whether the device does not answer and is left alone until next_try().
  bool is_down(std::size_t device) const { return devices_[device].state == DeviceState::down; }
  BootTime next_try(std::size_t device) const { return devices_[device].try_at; }
  /// The device had the bus so long for something that is not of the plan.
  void charge(std::size_t device, Duration used);

  std::size_t block_count() const { return blocks_.size(); }

 private:
  enum class DeviceState : std::uint8_t { unknown, up, down };

  struct Block {
    ReadBlock read;
    BootTime planned{};
    int attempts = 0;                        // of this poll, that got no answer
    std::uint32_t refusals = 0;              // in a row, of a block that cannot be split
    std::uint32_t mute = 0;                  // polls in a row without an answer while the device answered others
    std::optional<std::uint64_t> failed_at;  // the device's count of answers when this block got none
    bool overloaded = false;
    bool skipped = false;      // since it was read last
    std::uint8_t on_time = 0;  // polls in a row, while overloaded
  };

  struct Device {
    Device(Duration first, Duration most, std::uint64_t seed) : backoff(first, most, seed) {}
    DeviceState state = DeviceState::unknown;
    std::vector<std::uint32_t> queue;   // heap of its blocks by planned time; not used unless up
    std::vector<std::uint32_t> blocks;  // all of them
    Backoff backoff;
    BootTime try_at{};
    BootTime try_at_latest{};
    std::uint32_t tries = 0;        // since it was last up
    std::uint32_t first_probe = 0;  // which of `blocks` is tried first
    std::uint64_t answers = 0;
    int bad_replies = 0;  // in a row
    Duration used{};      // of the bus, in virtual time
  };

  static bool can_be_tried(const Device& device) { return device.state != DeviceState::up && !device.blocks.empty(); }
  Device& device_of(std::uint32_t block) { return devices_[blocks_[block].read.device]; }
  bool is_later(std::uint32_t a, std::uint32_t b) const;
  void enqueue(std::uint32_t block);
  std::uint32_t dequeue(Device& device);

  Device* pick_due(BootTime now);
  Device* pick_probe(BootTime now);
  bool may_probe(const Device& device, BootTime due, BootTime now) const;
  Poll make_poll(std::uint32_t block, BootTime now) const;
  Poll make_probe(Device& device, BootTime now);
  bool is_narrow(const Poll& poll) const;

  PollOutcome answered(const Poll& poll, ModbusResult result);
  PollOutcome unanswered(const Poll& poll, ModbusResult result, BootTime now);
  PollOutcome muted(const Poll& poll, ModbusResult result);
  void device_up(Device& device, const Poll& poll);
  void plan_next_try(Device& device, BootTime now);
  bool split(std::uint32_t block);
  void advance(const Poll& poll, Duration pause, PollOutcome& outcome);
  static void note_overload(Block& block, PollOutcome& outcome);
  Duration slowed(const Block& block, std::uint32_t times) const;

  PollPlanOptions options_;
  std::vector<PlanTag> tags_;
  std::vector<Block> blocks_;
  std::vector<Device> devices_;
  Duration virtual_now_{};
  BootTime probes_rest_until_{};  // where others are delayed by it, trying dead devices takes at most half of the bus
  std::uint32_t narrow_tag_ = 0;  // what Poll::tags points to when a probe reads one tag only
};

}  // namespace tidegate::drivers
