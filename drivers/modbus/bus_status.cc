#include "drivers/modbus/bus_status.h"

namespace tidegate::drivers {

BusStatus::BusStatus(const std::vector<ModbusDeviceOptions>& devices) {
  for (const auto& device : devices) {
    devices_.push_back({device.name, false, device.tags.empty() ? "has no tags" : "not yet asked", {}});
  }
}

void BusStatus::count_request(std::size_t device, ModbusResult result) {
  const std::lock_guard lock(mutex_);
  ++devices_[device].requests[static_cast<std::size_t>(result)];
}

void BusStatus::count_missed(std::uint64_t polls) {
  if (polls == 0) return;
  const std::lock_guard lock(mutex_);
  missed_ += polls;
}

void BusStatus::count_skipped(std::uint64_t polls) {
  if (polls == 0) return;
  const std::lock_guard lock(mutex_);
  skipped_ += polls;
}

void BusStatus::set_device(std::size_t device, bool up, std::string detail) {
  const std::lock_guard lock(mutex_);
  devices_[device].up = up;
  devices_[device].detail = std::move(detail);
}

void BusStatus::set_bus(bool up, std::string detail) {
  const std::lock_guard lock(mutex_);
  up_ = up;
  detail_ = std::move(detail);
}

DriverStatus BusStatus::snapshot() const {
  DriverStatus status;
  const std::lock_guard lock(mutex_);
  status.up = up_;
  status.detail = detail_;
  for (const auto& device : devices_) {
    DeviceStatus& into = status.devices.emplace_back();
    into.name = device.name;
    into.up = up_ && device.up;
    into.detail = device.detail;
    for (std::size_t i = 0; i < device.requests.size(); ++i) {
      if (device.requests[i] > 0) into.requests[to_string(static_cast<ModbusResult>(i))] = device.requests[i];
    }
  }
  status.skipped = skipped_;
  if (missed_ > 0) status.refused["poll_missed"] = missed_;
  return status;
}

}  // namespace tidegate::drivers
