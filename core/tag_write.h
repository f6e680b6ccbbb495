#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

#include "core/value.h"

namespace tidegate {

/// How an attempt to write a tag ended.
enum class WriteResult : std::uint8_t {
  written,  // the device has said so
  refused,  // nothing was sent to the device
  unknown,  // it was sent, and nobody said whether it was carried out
  failed,   // the device has said that it did not do it
};
inline constexpr std::size_t kWriteResultCount = 4;

/// "written", "refused", "unknown", "failed": the words of events and counters.
const char* to_string(WriteResult result);

/// Somebody wants a tag to have a value.
struct TagWrite {
  std::string tag;  // its path
  Value value;
  std::string by;       // "uplink scada", "rule boiler-hot"
  std::string detail;   // what it came with, such as topic and metric
  std::string refusal;  // why whoever passes it on will not have it done; empty: it is to be done
};

}  // namespace tidegate
