#pragma once

#include <cstdint>
#include <string>

#include "core/time.h"
#include "daemon/commands/commands.h"

namespace tidegate::daemon {

/// What the sensors of `tidegate simulate mqtt` publish: message n is of tag n % tags of device (n / tags) % devices,
/// of all tags of device n % devices where the payload holds several; values are slow sines. The same n and time give
/// the same message. Faults are such as the shape of the payload can have: each of them shows.
class SimulatedMessages {
 public:
  explicit SimulatedMessages(SimulateMqttOptions options) : options_(std::move(options)) {}

  struct Message {
    std::string topic;
    std::string payload;
    bool is_faulty = false;
  };
  Message message(std::uint64_t n, WallTime now) const;

 private:
  /// Text of a payload's parts, which faults spoil.
  struct Parts {
    std::string time;
    std::string value;
    std::string before = "";  // of an object
  };

  bool is_faulty(std::uint64_t n) const;
  Parts parts(std::uint64_t n, std::uint64_t device, WallTime now) const;
  std::string render(const Parts& parts) const;

  SimulateMqttOptions options_;
};

}  // namespace tidegate::daemon
