#pragma once

#include <array>
#include <cstdint>
#include <mutex>
#include <string>
#include <vector>

#include "drivers/driver.h"
#include "drivers/modbus/modbus_link.h"

namespace tidegate::drivers {

/// What the bus thread has to tell about itself and the core thread asks for. Any thread.
class BusStatus {
 public:
  explicit BusStatus(const std::vector<ModbusDeviceOptions>& devices);

  void count_request(std::size_t device, ModbusResult result);
  void count_missed(std::uint64_t polls);
  void count_skipped(std::uint64_t polls);
  void set_device(std::size_t device, bool up, std::string detail);
  void set_bus(bool up, std::string detail);

  /// Without the queue's numbers.
  DriverStatus snapshot() const;

 private:
  struct Device {
    std::string name;
    bool up = false;
    std::string detail;
    std::array<std::uint64_t, kModbusResultCount> requests{};
  };
  mutable std::mutex mutex_;
  std::vector<Device> devices_;
  bool up_ = false;
  std::string detail_ = "not started";
  std::uint64_t missed_ = 0;
  std::uint64_t skipped_ = 0;
};

}  // namespace tidegate::drivers
