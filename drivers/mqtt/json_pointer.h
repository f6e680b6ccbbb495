#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "core/error.h"

namespace tidegate::drivers {

/// A JSON pointer (RFC 6901), taken apart once: "/a~1b/0" is the members "a/b" and, of an array, element 0. "" is the
/// whole document.
class JsonPointer {
 public:
  struct Step {
    std::string member;
    std::optional<std::uint32_t> index;  // when it can be one: digits without a leading zero
  };

  JsonPointer() = default;
  static Result<JsonPointer> parse(const std::string& text);

  const std::vector<Step>& steps() const { return steps_; }
  const std::string& text() const { return text_; }

 private:
  std::vector<Step> steps_;
  std::string text_;
};

}  // namespace tidegate::drivers
