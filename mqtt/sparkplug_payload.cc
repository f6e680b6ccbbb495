#include "mqtt/sparkplug_payload.h"

#include <google/protobuf/io/coded_stream.h>
#include <google/protobuf/wire_format_lite.h>
#include <sparkplug.pb.h>

#include <array>
#include <limits>
#include <utility>

namespace tidegate::mqtt {
namespace {

namespace wire = sparkplug_wire;

bool has_sound_size(std::string_view bytes) {
  return bytes.size() <= static_cast<std::size_t>(std::numeric_limits<int>::max());
}

bool parse(google::protobuf::MessageLite& message, std::string_view bytes) {
  return has_sound_size(bytes) && message.ParseFromArray(bytes.data(), static_cast<int>(bytes.size()));
}

// Goes over the wire bytes and allocates nothing, while parsed an empty metric takes thirty times its two bytes.
bool has_more_metrics_than(std::size_t metrics_max, std::string_view bytes) {
  using google::protobuf::internal::WireFormatLite;
  constexpr std::uint32_t kMetricTag = 2U << 3U | 2U;  // field 2, with a length
  google::protobuf::io::CodedInputStream input(reinterpret_cast<const std::uint8_t*>(bytes.data()),
                                               static_cast<int>(bytes.size()));
  std::size_t count = 0;
  for (std::uint32_t tag = input.ReadTag(); tag != 0; tag = input.ReadTag()) {
    if (tag == kMetricTag && ++count > metrics_max) return true;
    if (!WireFormatLite::SkipField(&input, tag)) return false;  // nor is it parsed
  }
  return false;
}

template <class Holder>
SparkplugValue take_value(Holder& from) {
  switch (from.value_case()) {
    case Holder::kIntValue:
      return from.int_value();
    case Holder::kLongValue:
      return from.long_value();
    case Holder::kFloatValue:
      return from.float_value();
    case Holder::kDoubleValue:
      return from.double_value();
    case Holder::kBooleanValue:
      return from.boolean_value();
    case Holder::kStringValue:
      return std::move(*from.mutable_string_value());
    case Holder::VALUE_NOT_SET:
      break;
  }
  return {};
}

SparkplugMetric take_metric(wire::Metric& from) {
  SparkplugMetric metric;
  if (from.has_name()) metric.name = std::move(*from.mutable_name());
  if (from.has_alias()) metric.alias = from.alias();
  if (from.has_timestamp()) metric.timestamp = from.timestamp();
  metric.type = static_cast<SparkplugType>(from.datatype());
  metric.is_historical = from.is_historical();
  metric.is_null = from.is_null();
  if (from.has_properties()) metric.properties = std::move(*from.mutable_properties());
  metric.value = take_value(from);
  return metric;
}

template <class Holder>
class ValueWriter {
 public:
  explicit ValueWriter(Holder& into) : into_(into) {}
  void operator()(std::monostate /*none*/) const {}
  void operator()(std::uint32_t value) const { into_.set_int_value(value); }
  void operator()(std::uint64_t value) const { into_.set_long_value(value); }
  void operator()(float value) const { into_.set_float_value(value); }
  void operator()(double value) const { into_.set_double_value(value); }
  void operator()(bool value) const { into_.set_boolean_value(value); }
  void operator()(const std::string& value) const { into_.set_string_value(value); }

 private:
  Holder& into_;
};

void put_metric(const SparkplugMetric& from, wire::Metric& into) {
  if (from.name) into.set_name(*from.name);
  if (from.alias) into.set_alias(*from.alias);
  if (from.timestamp) into.set_timestamp(*from.timestamp);
  if (from.type != SparkplugType::unknown) into.set_datatype(static_cast<std::uint32_t>(from.type));
  if (from.is_historical) into.set_is_historical(true);
  if (from.is_null) into.set_is_null(true);
  if (!from.properties.empty()) into.set_properties(from.properties);
  std::visit(ValueWriter(into), from.value);
}

}  // namespace

std::string name_of_sparkplug_type(SparkplugType type) {
  constexpr std::array kNames{"Unknown",      "Int8",
                              "Int16",        "Int32",
                              "Int64",        "UInt8",
                              "UInt16",       "UInt32",
                              "UInt64",       "Float",
                              "Double",       "Boolean",
                              "String",       "DateTime",
                              "Text",         "UUID",
                              "DataSet",      "Bytes",
                              "File",         "Template",
                              "PropertySet",  "PropertySetList",
                              "Int8Array",    "Int16Array",
                              "Int32Array",   "Int64Array",
                              "UInt8Array",   "UInt16Array",
                              "UInt32Array",  "UInt64Array",
                              "FloatArray",   "DoubleArray",
                              "BooleanArray", "StringArray",
                              "DateTimeArray"};
  const auto number = static_cast<std::uint32_t>(type);
  return number < kNames.size() ? kNames[number] : "type " + std::to_string(number);
}

Result<SparkplugPayload> decode_sparkplug(std::string_view bytes, std::size_t metrics_max) {
  if (!has_sound_size(bytes)) return fail(ErrorCode::invalid, "the payload is no Sparkplug payload");
  if (has_more_metrics_than(metrics_max, bytes)) {
    return fail(ErrorCode::give_up_item, "has more than " + std::to_string(metrics_max) + " metrics");
  }
  wire::Payload whole;
  if (!parse(whole, bytes)) return fail(ErrorCode::invalid, "the payload is no Sparkplug payload");
  const auto count = static_cast<std::size_t>(whole.metrics_size());
  SparkplugPayload payload;
  if (whole.has_timestamp()) payload.timestamp = whole.timestamp();
  if (whole.has_seq()) payload.seq = whole.seq();
  payload.metrics.reserve(count);
  wire::Metric metric;
  for (std::size_t i = 0; i < count; ++i) {
    if (!parse(metric, whole.metrics(static_cast<int>(i)))) {
      return fail(ErrorCode::invalid, "metric " + std::to_string(i) + " is no Sparkplug metric");
    }
    payload.metrics.push_back(take_metric(metric));
  }
  return payload;
}

std::string encode_sparkplug(const SparkplugPayload& payload) {
  wire::Payload whole;
  if (payload.timestamp) whole.set_timestamp(*payload.timestamp);
  if (payload.seq) whole.set_seq(*payload.seq);
  for (const SparkplugMetric& from : payload.metrics) {
    wire::Metric metric;
    put_metric(from, metric);
    whole.add_metrics(metric.SerializeAsString());
  }
  return whole.SerializeAsString();
}

std::string encode_sparkplug_properties(const std::vector<SparkplugProperty>& properties) {
  wire::PropertySet set;
  for (const SparkplugProperty& property : properties) {
    set.add_keys(property.key);
    wire::PropertyValue& value = *set.add_values();
    value.set_type(static_cast<std::uint32_t>(property.type));
    std::visit(ValueWriter(value), property.value);
  }
  return set.SerializeAsString();
}

Result<std::vector<SparkplugProperty>> decode_sparkplug_properties(std::string_view bytes) {
  wire::PropertySet set;
  if (!parse(set, bytes) || set.keys_size() != set.values_size()) {
    return fail(ErrorCode::invalid, "the bytes are no Sparkplug property set");
  }
  std::vector<SparkplugProperty> properties;
  for (int i = 0; i < set.keys_size(); ++i) {
    wire::PropertyValue& value = *set.mutable_values(i);
    properties.push_back({set.keys(i), static_cast<SparkplugType>(value.type()), take_value(value)});
  }
  return properties;
}

}  // namespace tidegate::mqtt
