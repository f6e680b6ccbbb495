#pragma once

#include <cstdint>
#include <optional>
#include <string_view>
#include <variant>

#include "uplink/avro/avro_writer.h"

namespace tidegate::uplink {

/// What the field `value` of a record holds. A text points to where it was found.
using AvroValue = std::variant<std::monostate, bool, std::int64_t, double, std::string_view, std::uint64_t>;

/// The fields `value` and `number`, one behind the other as every schema has them.
inline void write_value(AvroWriter& writer, const AvroValue& value) {
  std::optional<double> number;
  writer.branch(static_cast<std::int64_t>(value.index()));  // the alternatives stand in the order of the union
  if (const auto* flag = std::get_if<bool>(&value)) {
    writer.flag(*flag);
    number = *flag ? 1 : 0;
  } else if (const auto* whole = std::get_if<std::int64_t>(&value)) {
    writer.whole(*whole);
    number = static_cast<double>(*whole);
  } else if (const auto* real = std::get_if<double>(&value)) {
    writer.real(*real);
    number = *real;
  } else if (const auto* text = std::get_if<std::string_view>(&value)) {
    writer.text(*text);
  } else if (const auto* natural = std::get_if<std::uint64_t>(&value)) {
    writer.natural(*natural);
    number = static_cast<double>(*natural);
  }
  if (!number) return writer.nothing();
  writer.something();
  writer.real(*number);
}

template <class Text>
void write_optional_text(AvroWriter& writer, const std::optional<Text>& text) {
  if (!text) return writer.nothing();
  writer.something();
  writer.text(*text);
}

inline void write_optional_whole(AvroWriter& writer, const std::optional<std::int64_t>& number) {
  if (!number) return writer.nothing();
  writer.something();
  writer.whole(*number);
}

}  // namespace tidegate::uplink
