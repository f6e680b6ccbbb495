#pragma once

#include <simdjson.h>

#include <optional>
#include <string>
#include <string_view>

#include "core/record.h"
#include "uplink/avro/avro_writer.h"

namespace tidegate::uplink {

/// Writes what stands behind gateway, epoch and seq of a record of the stream; what of `entry` no field can hold is a
/// JSON object in the field `more`.
void write_alarm(AvroWriter& writer, const simdjson::dom::object& entry);
void write_event(AvroWriter& writer, const simdjson::dom::object& entry, std::string_view gateway);

/// Of a reading, which is otherwise written without a tree of its members: the field `more`.
std::optional<std::string> left_over_of_reading(const simdjson::dom::object& entry);

}  // namespace tidegate::uplink
