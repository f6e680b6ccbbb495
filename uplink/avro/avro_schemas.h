#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>

#include "core/record.h"

namespace tidegate::uplink {

/// The Avro schema of a stream's records, as JSON. It does not depend on which tags there are, and changes only so that
/// old and new readers read old and new records (docs/avro.md).
std::string_view avro_schema(Stream stream);

/// The full name of that record: "tidegate.Reading".
std::string_view avro_record_name(Stream stream);

/// By which a schema registry knows the schemas, by stream.
using AvroSchemaIds = std::array<std::int32_t, kStreamCount>;

}  // namespace tidegate::uplink
