#pragma once

#include <memory>

#include "drivers/driver.h"
#include "drivers/modbus/options.h"

namespace tidegate::drivers {

/// One bus (`[[driver.modbus]]`): one thread, one libmodbus context, the devices behind it polled by a plan that joins
/// neighbouring registers. A device that does not answer is left alone with growing pauses; its tags get quality `bad`
/// with the reason; the other devices go on.
Result<std::unique_ptr<Driver>> make_modbus_driver(ModbusBusOptions options, DriverContext context);

}  // namespace tidegate::drivers
