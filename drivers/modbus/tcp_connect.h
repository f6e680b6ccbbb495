#pragma once

#include <cstdint>
#include <string>

#include "core/clock.h"
#include "core/error.h"
#include "drivers/modbus/descriptor.h"

namespace tidegate::drivers {

struct TcpTarget {
  std::string host;  // name or address
  std::uint16_t port = 502;
  Duration timeout{};
};

/// A connected, non-blocking socket whose number select() can hold (libmodbus aborts the process on a greater one).
/// Tries the addresses of the name in turn; looking the name up may block for longer than the time-out.
/// The message says what to check. Error `give_up_item`: it was interrupted.
Result<Descriptor> connect_tcp(const TcpTarget& target, const Clock& clock, const Interrupt& interrupt);

}  // namespace tidegate::drivers
