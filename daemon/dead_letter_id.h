#pragma once

#include <cstdint>
#include <limits>

namespace tidegate::daemon {

/// Whether the store may have given it out: SQLite counts from 1, in 63 bits.
constexpr bool is_dead_letter_id(std::uint64_t id) {
  return id >= 1 && id <= static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max());
}

}  // namespace tidegate::daemon
