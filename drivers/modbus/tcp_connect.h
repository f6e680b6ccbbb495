#pragma once

#include <cstdint>
#include <string>

#include "core/clock.h"
#include "core/descriptor.h"
#include "core/error.h"
#include "core/host_lookup.h"
#include "drivers/modbus/interrupt.h"

namespace tidegate::drivers {

struct TcpTarget {
  std::string host;  // name or address
  std::uint16_t port = 502;
  Duration timeout{};
};

/// A connected, non-blocking socket whose number select() can hold (libmodbus aborts the process on a greater one).
/// Tries the addresses of the name in turn, each for an equal share of the time that is left; looking the name up may
/// take longer than the time-out, but not than an interrupt. The message says what to check. Error `give_up_item`: it
/// was interrupted.
Result<Descriptor> connect_tcp(const TcpTarget& target, const Clock& clock, const Interrupt& interrupt,
                               const LookUpHost& look_up = look_up_host);

}  // namespace tidegate::drivers
