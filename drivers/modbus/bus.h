#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "core/backoff.h"
#include "core/clock.h"
#include "core/log.h"
#include "drivers/driver.h"
#include "drivers/modbus/bus_status.h"
#include "drivers/modbus/modbus_link.h"
#include "drivers/modbus/poll_plan.h"
#include "drivers/modbus/register_decoder.h"
#include "drivers/modbus/write_queue.h"

namespace tidegate::drivers {

/// What one step of the bus brought in.
struct BusBatch {
  std::vector<Reading> readings;
  std::vector<DriverEvent> events;
  std::vector<WriteAnswer> answers;
  bool empty() const { return readings.empty() && events.empty() && answers.empty(); }
};

/// The devices behind one link: makes the requests that the poll plan wants, and readings and events of the answers.
/// A communication failure is one bad reading a tag when it begins, not one a poll. Writes go before polls, but not two
/// without what is due between them, and are sent once: what is in the register is read back behind each of them. One
/// thread; the link, the clock, the status and the queue of writes outlive it.
class Bus {
 public:
  /// `ids` are the tags of all devices in the order of the options.
  Bus(const ModbusBusOptions& options, std::vector<TagId> ids, ModbusLink& link, const Clock& clock, BusStatus& status,
      WriteQueue& writes);

  /// Does the one thing that is due, which may take as long as the link's time-out, and appends what it brought to
  /// `into`. Returns when to call again.
  BootTime step(BusBatch& into);

  /// Does nothing of what is due, and counts it. Returns when to call again, if it is still not time for a step.
  BootTime skip();

 private:
  struct BusTag {
    TagId id;
    ValueFormat format;
    ModbusAddress place;
    std::size_t device = 0;
    Reason failure = Reason::none;  // that its last reading was bad for
  };
  struct BusDevice {
    std::string name;
    std::uint8_t unit = 1;
    std::vector<std::uint32_t> tags;
    bool told_up = false;  // since the start
    bool told_down = false;
    std::string why_down{};
  };

  PollPlan make_plan(const ModbusBusOptions& options, const std::vector<TagId>& ids);
  bool connect(BusBatch& into);
  void lose_connection(const std::string& why, BusBatch& into);
  void poll(const Poll& poll, BusBatch& into);
  void take_values(const Poll& poll, bool overload_began, BusBatch& into);
  Reading take_value(BusTag& tag, std::span<const std::uint16_t> words, WallTime time);
  void write(const BusWrite& order, BusBatch& into);
  std::string why_not_written(const BusWrite& order) const;
  std::string read_back(const BusWrite& order, bool is_told, BusBatch& into);
  void refuse_writes(BusBatch& into);
  void complain(const Poll& poll, const ModbusRequest& request, ModbusResult result, Reason reason, BusBatch& into);
  void turn_bad(std::span<const std::uint32_t> tags, Reason reason, BusBatch& into);
  void device_up(const Poll& poll, BusBatch& into);
  void device_down(const Poll& poll, ModbusResult result, BusBatch& into);
  WallTime stamp() const;

  const std::string name_;
  const Duration timeout_;
  ModbusLink& link_;
  const Clock& clock_;
  BusStatus& status_;
  WriteQueue& writes_;
  bool is_polls_turn_ = false;
  std::string why_lost_ = "it is not connected yet";
  std::vector<BusTag> tags_;
  std::vector<BusDevice> devices_;
  PollPlan plan_;
  Backoff backoff_;
  BootTime connect_at_{};
  ComplaintFilter complaints_;
  bool told_connected_ = false;
  bool told_lost_ = false;
  std::array<std::uint16_t, kBitsMax> values_{};
};

}  // namespace tidegate::drivers
