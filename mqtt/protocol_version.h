#pragma once

#include <cstdint>

namespace tidegate::mqtt {

/// As a CONNECT says it.
enum class ProtocolVersion : std::uint8_t { v3_1_1 = 4, v5 = 5 };

}  // namespace tidegate::mqtt
