#pragma once

#include <string>
#include <string_view>

#include "core/error.h"
#include "core/record.h"

namespace tidegate::uplink {

/// What a registry has the schema of a stream under: of `subject`, {topic}, {record}, {gateway} and {stream} are filled
/// in. Error `invalid` names a placeholder that is not known.
Result<std::string> schema_subject(std::string_view subject, std::string_view topic, std::string_view gateway,
                                   Stream stream);

}  // namespace tidegate::uplink
