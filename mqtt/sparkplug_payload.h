#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "core/error.h"

namespace tidegate::mqtt {

/// The data types of a metric, with the numbers of the Sparkplug 3.0 specification, section 6.4.16. Those behind uuid
/// are known by name only.
enum class SparkplugType : std::uint32_t {
  unknown = 0,
  int8 = 1,
  int16 = 2,
  int32 = 3,
  int64 = 4,
  uint8 = 5,
  uint16 = 6,
  uint32 = 7,
  uint64 = 8,
  float32 = 9,
  float64 = 10,
  boolean = 11,
  string = 12,
  date_time = 13,
  text = 14,
  uuid = 15,
};

/// "Int8", "DataSet", "DateTimeArray" ...; "type 99" for what the specification does not know.
std::string name_of_sparkplug_type(SparkplugType type);

/// As it stands in the payload: what an integer means, only the data type says. Empty where there is none, or one that
/// is no scalar. Texts are not checked: they may be any bytes.
using SparkplugValue = std::variant<std::monostate, std::uint32_t, std::uint64_t, float, double, bool, std::string>;

struct SparkplugMetric {
  std::optional<std::string> name;  // not checked either
  std::optional<std::uint64_t> alias;
  std::optional<std::uint64_t> timestamp;  // milliseconds since 1970 UTC
  SparkplugType type = SparkplugType::unknown;
  bool is_historical = false;
  bool is_null = false;
  std::string properties{};  // a property set as it stands in the payload
  SparkplugValue value;
};

struct SparkplugProperty {
  std::string key;
  SparkplugType type = SparkplugType::unknown;
  SparkplugValue value;
};

struct SparkplugPayload {
  std::optional<std::uint64_t> timestamp;  // milliseconds since 1970 UTC
  std::optional<std::uint64_t> seq;
  std::vector<SparkplugMetric> metrics;
};

/// Reads a Sparkplug B payload. Fields that nobody here needs are skipped. Error `invalid` when it is none, and
/// `give_up_item`, before anything of it takes memory, when it has more metrics than `metrics_max`.
Result<SparkplugPayload> decode_sparkplug(std::string_view bytes, std::size_t metrics_max);

std::string encode_sparkplug(const SparkplugPayload& payload);

/// The bytes of a property set, for SparkplugMetric::properties, and back. Error `invalid` when they are none.
std::string encode_sparkplug_properties(const std::vector<SparkplugProperty>& properties);
Result<std::vector<SparkplugProperty>> decode_sparkplug_properties(std::string_view bytes);

}  // namespace tidegate::mqtt
