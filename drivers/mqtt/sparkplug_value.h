#pragma once

#include "core/value.h"
#include "drivers/mqtt/refusal.h"
#include "mqtt/sparkplug_payload.h"

namespace tidegate::drivers {

/// The value of a metric, or why there is none. `type` is what the message or, failing that, the birth says; unknown is
/// enough for what is no integer.
///
/// Integers up to the last one of int64 become int64, those beyond uint64, as in JSON: none is altered. Narrow signed
/// ones may come as their own bits or sign-extended, since encoders differ. A DateTime is milliseconds since 1970.
/// A Float becomes the double of the same value.
Refusal take_sparkplug_value(mqtt::SparkplugMetric& metric, mqtt::SparkplugType type, Value& value);

}  // namespace tidegate::drivers
