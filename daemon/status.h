#pragma once

#include <string>

#include "core/reading.h"
#include "core/tag.h"

namespace tidegate::daemon {

class Gateway;
class JsonWriter;

/// The state of the running daemon as one JSON object (/api/v1/status). Core thread.
std::string render_status(const Gateway& gateway);
/// The newest reading of every tag (/api/v1/readings/latest).
std::string render_latest(const Gateway& gateway);
/// One of these.
void put_latest(JsonWriter& json, const Reading& reading, const TagRegistry& tags);
/// The alarms that are raised now (/api/v1/alarms).
std::string render_alarms(const Gateway& gateway);

}  // namespace tidegate::daemon
