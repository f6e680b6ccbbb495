#pragma once

#include <cstddef>

namespace tidegate {

/// The longest text that is kept as a value, where the log has the room for it.
inline constexpr std::size_t kValueTextBytesMax = std::size_t{64} * 1024;

}  // namespace tidegate
