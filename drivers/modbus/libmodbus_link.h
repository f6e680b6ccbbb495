#pragma once

#include <memory>

#include "core/clock.h"
#include "drivers/modbus/modbus_link.h"
#include "drivers/modbus/options.h"

namespace tidegate::drivers {

/// The link over libmodbus, for the transport of the options. `clock` outlives it.
///
/// libmodbus receives, computes frame lengths and checksums, and sets up the serial line; what it leaves open is done
/// here: its TCP side does not look at the unit id, its RTU side hands out late answers as new ones, and neither
/// bounds the time of a whole exchange once bytes trickle. Its error recovery stays off.
Result<std::unique_ptr<ModbusLink>> make_libmodbus_link(const ModbusBusOptions& options, const Clock& clock);

}  // namespace tidegate::drivers
