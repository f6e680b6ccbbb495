#pragma once

#include <cstdint>
#include <cstdlib>
#include <stdexcept>
#include <string>
#include <string_view>

#include "core/parse_whole.h"

namespace tidegate::testing {

/// How many to try, or in what steps: `few` where a sanitizer watches, which makes each ten times as slow.
constexpr std::uint64_t of_many([[maybe_unused]] std::uint64_t many, [[maybe_unused]] std::uint64_t few) {
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
  return few;
#else
  return many;
#endif
}

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
