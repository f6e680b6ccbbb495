#pragma once

#include <cstdint>

#include "core/value.h"
#include "mqtt/sparkplug_payload.h"

namespace tidegate::mqtt {

/// Why a metric gives no value.
enum class SparkplugValueProblem : std::uint8_t {
  none,
  missing,           // it carries none
  no_type,           // an integer, and nothing says of which type
  type_mismatch,     // the value is not of the metric's type
  bad_number,        // beyond the type
  not_utf8,          // a text
  unsupported_type,  // DataSet, Template, Bytes, File, arrays
};

/// In words, as a refusal has them: "the value is not of the metric's data type".
const char* describe(SparkplugValueProblem problem);

/// The value of a metric, or why there is none. `type` is what the message or, failing that, the birth says; unknown is
/// enough for what is no integer.
///
/// Integers up to the last one of int64 become int64, those beyond uint64, as in JSON: none is altered. Narrow signed
/// ones may come as their own bits or sign-extended, since encoders differ. A DateTime is milliseconds since 1970.
/// A Float becomes the double of the same value.
SparkplugValueProblem take_sparkplug_value(SparkplugMetric& metric, SparkplugType type, Value& value);

}  // namespace tidegate::mqtt
