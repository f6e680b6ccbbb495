#pragma once

#include <cstdint>
#include <cstdlib>
#include <stdexcept>
#include <string>
#include <string_view>

#include "core/parse_whole.h"

namespace tidegate::testing {

/// A number from the environment. The lists of tests always draw from the same seeds, so that a red test says something
/// about the change at hand; who wants new ones sets TIDEGATE_SEED. Throws std::runtime_error for what is no number.
inline std::uint64_t from_environment(const char* name, std::uint64_t otherwise) {
  const char* const text = std::getenv(name);
  if (text == nullptr) return otherwise;
  const auto number = parse_whole<std::uint64_t>(text);
  if (!number) throw std::runtime_error(std::string(name) + " is no number: " + text);
  return *number;
}

}  // namespace tidegate::testing
