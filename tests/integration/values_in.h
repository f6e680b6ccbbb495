#pragma once

#include <cstdint>
#include <cstdlib>
#include <set>
#include <string>
#include <string_view>

namespace tidegate::testing {

/// The different whole numbers that stand behind "value": in a text.
inline std::set<std::uint64_t> values_in(const std::string& text) {
  constexpr std::string_view kBefore = "\"value\":";
  std::set<std::uint64_t> values;
  for (auto at = text.find(kBefore); at != std::string::npos; at = text.find(kBefore, at + 1)) {
    values.insert(std::strtoull(text.c_str() + at + kBefore.size(), nullptr, 10));
  }
  return values;
}

}  // namespace tidegate::testing
