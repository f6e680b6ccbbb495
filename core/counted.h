#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace tidegate {

/// "1 record", "2 records": for words whose plural ends in an s.
inline std::string counted(std::uint64_t count, std::string_view what) {
  return std::to_string(count) + ' ' + std::string(what) + (count == 1 ? "" : "s");
}

}  // namespace tidegate
