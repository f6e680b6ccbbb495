#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <variant>

namespace tidegate {

/// What a reading carries. Empty (monostate) is a null value: nothing was measured, and the quality says why.
/// Integers stay integers; a double is never NaN or infinite (normalising makes those null, reason `nan`).
using Value = std::variant<std::monostate, bool, std::int64_t, std::uint64_t, double, std::string>;

/// The type a tag is declared with; `automatic` takes what arrives.
enum class ValueType : std::uint8_t { automatic, boolean, int64, uint64, float64, text };

const char* to_string(ValueType type);

/// The value as a double, for rules and dead bands; false becomes 0, true 1. Returns false for null and text.
bool as_number(const Value& value, double& number);

/// Appends the value as JSON: shortest form that reads back the same; null for empty; text escaped.
void append_json(std::string& out, const Value& value);

}  // namespace tidegate
