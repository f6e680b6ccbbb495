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

namespace tidegate::drivers {

/// What one step of the bus brought in.
struct BusBatch {
  std::vector<Reading> readings;
  std::vector<DriverEvent> events;
  bool empty() const { return readings.empty() && events.empty(); }
};

/// The devices behind one link: makes the requests that the poll plan wants, and readings and events of the answers.
/// A communication failure is one bad reading a tag when it begins, not one a poll. One thread; the link, the clock
/// and the status outlive it.
class Bus {
 public:
  /// `ids` are the tags of all devices in the order of the options.
  Bus(const ModbusBusOptions& options, std::vector<TagId> ids, ModbusLink& link, const Clock& clock, BusStatus& status);

  /// Does the one thing that is due, which may take as long as the link's time-out, and appends what it brought to
  /// `into`. Returns when to call again.
  BootTime step(BusBatch& into);

  /// Does nothing of what is due, and counts it. Returns when to call again, if it is still not time for a step.
  BootTime skip();

 private:
  struct BusTag {
    TagId id;
    ValueFormat format;
    std::uint16_t address = 0;
    Reason failure = Reason::none;  // that its last reading was bad for
  };
  struct BusDevice {
    std::string name;
    std::uint8_t unit = 1;
    std::vector<std::uint32_t> tags;
    bool told_up = false;  // since the start
    bool told_down = false;
  };

  PollPlan make_plan(const ModbusBusOptions& options, const std::vector<TagId>& ids);
  bool connect(BusBatch& into);
  void lose_connection(const std::string& why, BusBatch& into);
  void poll(const Poll& poll, BusBatch& into);
  void take_values(const Poll& poll, bool overload_began, BusBatch& into);
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
