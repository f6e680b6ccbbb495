#pragma once

#include <charconv>
#include <cstdint>
#include <cstdlib>
#include <stdexcept>
#include <string>
#include <string_view>

namespace tidegate::testing {

/// A number from the environment. The lists of tests always draw from the same seeds, so that a red test says something
/// about the change at hand; who wants new ones sets TIDEGATE_SEED. Throws std::runtime_error for what is no number.
inline std::uint64_t from_environment(const char* name, std::uint64_t otherwise) {
  const char* const text = std::getenv(name);
  if (text == nullptr) return otherwise;
  const std::string_view digits(text);
  std::uint64_t number = 0;
  const auto [end, problem] = std::from_chars(digits.data(), digits.data() + digits.size(), number);
  if (problem != std::errc() || end != digits.data() + digits.size()) {
    throw std::runtime_error(std::string(name) + " is no number: " + text);
  }
  return number;
}

}  // namespace tidegate::testing
