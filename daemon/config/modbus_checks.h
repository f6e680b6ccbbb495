#pragma once

#include "daemon/config/scope.h"
#include "drivers/modbus/options.h"

namespace tidegate::daemon {

/// The type that follows from the table, and whether the keys of a tag fit each other.
void finish_modbus_tag(drivers::ModbusTagOptions& tag, const Scope& scope);
/// Names and units of the devices of a bus, its tags among those of other drivers.
void finish_modbus_bus(drivers::ModbusBusOptions& bus, const Scope& scope);

}  // namespace tidegate::daemon
