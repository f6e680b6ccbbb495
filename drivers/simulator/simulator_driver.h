#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "drivers/driver.h"

namespace tidegate::drivers {

struct SimulatorOptions {
  std::string name;
  std::uint32_t devices = 1;
  std::uint32_t tags = 1;  // a device
  Duration interval = std::chrono::seconds(1);
  bool operator==(const SimulatorOptions&) const = default;
};

/// Makes readings of its own (`[[driver.simulator]]`): sines with noise, a fixed seed, so that two runs agree. Tags are
/// "NAME-1/tag-1" and so on. It has one thread, which waits for
/// the next interval and wakes the core.
Result<std::unique_ptr<Driver>> make_simulator_driver(SimulatorOptions options, DriverContext context);

}  // namespace tidegate::drivers
