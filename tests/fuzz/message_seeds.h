#pragma once

#include <string>

namespace tidegate::fuzz {

/// Writes the seeds of what comes over MQTT into FOLDER/mqtt, FOLDER/payload and FOLDER/sparkplug,
/// which are there.
void write_message_seeds(const std::string& folder);

}  // namespace tidegate::fuzz
