#include "uplink/sparkplug/batch_parts.h"

#include <simdjson.h>

#include <algorithm>
#include <utility>

#include "uplink/fitted_parser.h"
#include "uplink/json_text.h"

namespace tidegate::uplink {
namespace {

namespace dom = simdjson::dom;
using mqtt::SparkplugProperty;
using mqtt::SparkplugType;

// Section 6.4.21 of the specification: Int32, and no other values.
constexpr std::uint32_t kGood = 192;
constexpr std::uint32_t kBad = 0;

std::string_view text_of(const dom::object& entry, std::string_view name) {
  std::string_view text;
  return entry[name].get_string().get(text) == simdjson::SUCCESS ? text : std::string_view();
}

Value value_of(const dom::object& entry) {
  dom::element value;
  if (entry["value"].get(value) != simdjson::SUCCESS) return {};
  switch (value.type()) {
    case dom::element_type::BOOL:
      return value.get_bool().value_unsafe();
    case dom::element_type::INT64:
      return value.get_int64().value_unsafe();
    case dom::element_type::UINT64:
      return value.get_uint64().value_unsafe();
    case dom::element_type::DOUBLE:
      return value.get_double().value_unsafe();
    case dom::element_type::STRING:
      return std::string(value.get_string().value_unsafe());
    case dom::element_type::NULL_VALUE:
    case dom::element_type::ARRAY:
    case dom::element_type::OBJECT:
      break;
  }
  return {};
}

SparkplugProperty integer(const char* key, std::int64_t number) {
  return {key, SparkplugType::int64, static_cast<std::uint64_t>(number)};
}

// A metric's time is unsigned: one before 1970 goes beside it.
void put_time(SparkplugEntry& into, const dom::object& entry, std::int64_t otherwise) {
  std::int64_t time = 0;
  if (entry["time"].get_int64().get(time) != simdjson::SUCCESS) time = otherwise;
  into.timestamp = static_cast<std::uint64_t>(std::max<std::int64_t>(time, 0));
  if (time < 0) into.properties.push_back(integer("time", time));
  if (entry["time_ns"].get_int64().get(time) == simdjson::SUCCESS) {
    into.properties.push_back(integer("time_ns", time));
  }
}

void put_sequence(SparkplugEntry& into, const dom::object& entry) {
  std::uint64_t sequence = 0;
  if (entry["seq"].get_uint64().get(sequence) != simdjson::SUCCESS) return;
  into.properties.push_back({"seq", SparkplugType::uint64, sequence});
}

// `Quality` has no word for what is uncertain; that stands in a property of our own.
void put_quality(SparkplugEntry& into, const dom::object& entry) {
  const std::string_view quality = text_of(entry, "quality");
  into.properties.push_back({"Quality", SparkplugType::int32, quality == "good" ? kGood : kBad});
  if (quality == "uncertain") into.properties.push_back({"quality", SparkplugType::string, std::string(quality)});
  for (const char* const name : {"reason", "time_quality"}) {
    const std::string_view text = text_of(entry, name);
    if (!text.empty()) into.properties.push_back({name, SparkplugType::string, std::string(text)});
  }
}

constexpr std::string_view kNodeTags = "Tags/";

// A tag without '/' is of no device.
void put_tag(SparkplugEntry& into, const dom::object& entry) {
  const std::string_view path = text_of(entry, "tag");
  const std::size_t slash = path.find('/');
  if (slash == std::string_view::npos) {
    into.name = std::string(kNodeTags) + std::string(path);
    return;
  }
  into.device = path.substr(0, slash);
  into.name = path.substr(slash + 1);
}

std::string name_of_document(Stream stream, const dom::object& entry) {
  const bool is_alarm = stream == Stream::alarms;
  const std::string_view name = text_of(entry, is_alarm ? "alarm" : "event");
  return (is_alarm ? "Alarms/" : "Events/") + std::string(name.empty() ? "document" : name);
}

// What a batch says before its entries, as an object of its own.
std::string head_of(std::string_view payload, Stream stream) {
  const std::string entries = std::string(",\"") + to_string(stream) + "\":[";
  return std::string(payload.substr(0, payload.find(entries))) + '}';
}

}  // namespace

std::string tag_of_metric(const std::string& device, const std::string& metric) {
  if (!device.empty()) return device + '/' + metric;
  return metric.starts_with(kNodeTags) ? metric.substr(kNodeTags.size()) : std::string();
}

struct SparkplugBatchParser::Parser {
  struct Head {
    std::int64_t sent = 0;
    bool is_historical = false;
  };

  Result<SparkplugEntries> take_apart(const OutgoingBatch& batch);
  void take_readings(const dom::array& readings, const Head& head, SparkplugEntries& into);
  Result<void> take_documents(const OutgoingBatch& batch, const Head& head, SparkplugEntries& into);

  FittedParser batches;
  dom::parser documents;
};

SparkplugBatchParser::SparkplugBatchParser() : parser_(std::make_unique<Parser>()) {}
SparkplugBatchParser::~SparkplugBatchParser() = default;

Result<SparkplugEntries> SparkplugBatchParser::take_apart(const OutgoingBatch& batch) {
  return parser_->take_apart(batch);
}

Result<SparkplugEntries> SparkplugBatchParser::Parser::take_apart(const OutgoingBatch& batch) {
  dom::element parsed;
  dom::array entries;
  Head head;
  auto error = batches.parse(*batch.payload).get(parsed);
  if (!error) error = parsed["sent"].get_int64().get(head.sent);
  if (!error) error = parsed["historical"].get_bool().get(head.is_historical);
  if (!error) error = parsed[to_string(batch.stream)].get_array().get(entries);
  if (error) return no_batch(batch.stream, simdjson::error_message(error));
  SparkplugEntries made;
  made.push_back({"", kBatchMetric, static_cast<std::uint64_t>(std::max<std::int64_t>(head.sent, 0)), false,
                  head_of(*batch.payload, batch.stream)});
  if (batch.stream == Stream::readings) {
    take_readings(entries, head, made);
  } else if (auto taken = take_documents(batch, head, made); !taken) {
    return tl::unexpected(taken.error());
  }
  if (made.size() != std::size_t{1} + batch.count) {
    return fail(ErrorCode::give_up_item, std::string("payload of stream ") + to_string(batch.stream) + " from " +
                                             std::to_string(batch.from) + ": " + std::to_string(made.size() - 1) +
                                             " entries can be read of the " + std::to_string(batch.count) +
                                             " that it has");
  }
  return made;
}

void SparkplugBatchParser::Parser::take_readings(const dom::array& readings, const Head& head, SparkplugEntries& into) {
  for (const dom::element& element : readings) {
    dom::object reading;
    if (element.get_object().get(reading) != simdjson::SUCCESS) continue;
    SparkplugEntry& entry = into.emplace_back();
    put_tag(entry, reading);
    entry.value = value_of(reading);
    entry.is_historical = head.is_historical;
    put_quality(entry, reading);
    put_sequence(entry, reading);
    put_time(entry, reading, head.sent);
  }
}

Result<void> SparkplugBatchParser::Parser::take_documents(const OutgoingBatch& batch, const Head& head,
                                                          SparkplugEntries& into) {
  const auto taken = for_each_entry(*batch.payload, batch.stream, [&](std::string_view text) {
    dom::object document;
    if (documents.parse(text.data(), text.size()).get_object().get(document) != simdjson::SUCCESS) return;
    SparkplugEntry& entry = into.emplace_back();
    entry.name = name_of_document(batch.stream, document);
    entry.value = std::string(text);
    entry.is_historical = head.is_historical;
    put_sequence(entry, document);
    put_time(entry, document, head.sent);
  });
  if (!taken) return tl::unexpected(taken.error());
  return {};
}

}  // namespace tidegate::uplink
