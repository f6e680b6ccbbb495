#include "uplink/avro/avro_records.h"

#include <simdjson.h>

#include <cstdint>
#include <optional>
#include <utility>
#include <vector>

#include "core/spare_room.h"
#include "uplink/avro/avro_documents.h"
#include "uplink/avro/avro_values.h"
#include "uplink/avro/avro_writer.h"
#include "uplink/fitted_parser.h"
#include "uplink/json_text.h"

namespace tidegate::uplink {
namespace {

namespace dom = simdjson::dom;
namespace ondemand = simdjson::ondemand;

using simdjson::error_code;
using simdjson::SUCCESS;

/// One entry of readings, taken apart. Texts point into the parser.
struct ReadingParts {
  std::optional<std::int64_t> sequence;
  std::optional<std::string_view> tag;
  std::optional<std::int64_t> time;
  std::optional<std::int64_t> time_ns;
  AvroValue value;
  std::optional<std::string_view> quality;
  std::optional<std::string_view> reason;
  std::optional<std::string_view> time_quality;
  bool has_more = false;  // something has no field, or none that can hold it
};

error_code take_number(ondemand::value value, ReadingParts& parts) {
  const std::string_view token = value.raw_json_token();
  double real = 0;
  std::int64_t whole = 0;
  std::uint64_t natural = 0;
  if (token.find_first_of(".eE") != std::string_view::npos) {
    if (const auto error = value.get_double().get(real)) return error;
    parts.value = real;
  } else if (value.get_int64().get(whole) == SUCCESS) {
    parts.value = whole;
  } else if (value.get_uint64().get(natural) == SUCCESS) {
    parts.value = natural;
  } else {
    return simdjson::NUMBER_ERROR;
  }
  return SUCCESS;
}

error_code take_value(ondemand::value value, ReadingParts& parts) {
  ondemand::json_type type{};
  if (const auto error = value.type().get(type)) return error;
  bool flag = false;
  std::string_view text;
  switch (type) {
    case ondemand::json_type::number:
      return take_number(value, parts);
    case ondemand::json_type::boolean:
      if (const auto error = value.get_bool().get(flag)) return error;
      parts.value = flag;
      return SUCCESS;
    case ondemand::json_type::string:
      if (const auto error = value.get_string().get(text)) return error;
      parts.value = text;
      return SUCCESS;
    case ondemand::json_type::null:
      return SUCCESS;
    default:
      parts.has_more = true;
      return SUCCESS;
  }
}

error_code take_text(ondemand::value value, std::optional<std::string_view>& into, ReadingParts& parts) {
  ondemand::json_type type{};
  if (const auto error = value.type().get(type)) return error;
  std::string_view text;
  if (type != ondemand::json_type::string) {
    parts.has_more = parts.has_more || type != ondemand::json_type::null;
    return SUCCESS;
  }
  if (const auto error = value.get_string().get(text)) return error;
  into = text;
  return SUCCESS;
}

error_code take_whole(ondemand::value value, std::optional<std::int64_t>& into) {
  std::int64_t number = 0;
  if (const auto error = value.get_int64().get(number)) return error;
  into = number;
  return SUCCESS;
}

error_code take_member(std::string_view name, ondemand::value value, ReadingParts& parts) {
  if (name == "seq") return take_whole(value, parts.sequence);
  if (name == "tag") return take_text(value, parts.tag, parts);
  if (name == "time") return take_whole(value, parts.time);
  if (name == "value") return take_value(value, parts);
  if (name == "quality") return take_text(value, parts.quality, parts);
  if (name == "reason") return take_text(value, parts.reason, parts);
  if (name == "time_ns") return take_whole(value, parts.time_ns);
  if (name == "time_quality") return take_text(value, parts.time_quality, parts);
  parts.has_more = true;
  return SUCCESS;
}

// As it stands there: the names that are known have nothing to unescape, and one that has ends in a backslash here.
std::string_view name_of(const ondemand::field& field) {
  const char* const begin = field.key().raw();
  const char* end = begin;
  while (*end != '"') ++end;
  return {begin, static_cast<std::size_t>(end - begin)};
}

error_code take_entry(ondemand::object& object, ReadingParts& parts) {
  for (auto each : object) {
    ondemand::field field;
    if (const auto error = std::move(each).get(field)) return error;
    if (const auto error = take_member(name_of(field), field.value(), parts)) return error;
  }
  return parts.sequence && parts.time && parts.quality ? SUCCESS : simdjson::NO_SUCH_FIELD;
}

}  // namespace

/// What is kept from batch to batch.
struct AvroRecords::Workspace {
  std::string payload;  // with the padding that the parser wants
  ondemand::parser parser;
  FittedParser tree_parser;
  std::string messages;        // of a batch, one behind the other
  SpareRoom spare;             // of these
  std::size_t same_bytes = 0;  // at the beginning of each
  struct Message {
    std::string_view tag;  // in a parser
    std::size_t end = 0;   // in `messages`
  };
  std::vector<Message> parts;

  void begin_batch(std::int32_t id, std::string_view gateway, std::uint32_t epoch) {
    parts.clear();
    if (spare.is_too_much(messages.size(), messages.capacity())) {
      free_room(messages);
      free_room(payload);
      free_room(parts);
      parser = ondemand::parser();
    }
    messages.assign(1, '\0');
    for (const unsigned shift : {24U, 16U, 8U, 0U}) {
      messages += static_cast<char>(static_cast<std::uint32_t>(id) >> shift & 0xffU);
    }
    AvroWriter writer(messages);
    writer.text(gateway);
    writer.whole(epoch);
    same_bytes = messages.size();
  }
  AvroWriter begin_message(std::int64_t sequence) {
    if (!parts.empty()) messages.append(messages, 0, same_bytes);
    AvroWriter writer(messages);
    writer.whole(sequence);
    return writer;
  }

  void end_message(std::string_view tag) { parts.push_back({tag, messages.size()}); }
  void visit_messages(const Visit& visit) const {
    std::size_t begin = 0;
    for (const Message& one : parts) {
      if (!visit(one.tag, std::string_view(messages).substr(begin, one.end - begin))) return;
      begin = one.end;
    }
  }

  error_code left_over(ondemand::object& object, std::optional<std::string>& more) {
    std::string_view text;
    dom::object entry;
    if (const auto error = object.reset().error()) return error;
    if (const auto error = object.raw_json().get(text)) return error;
    if (const auto error = tree_parser.parse(std::string(text)).get_object().get(entry)) return error;
    more = left_over_of_reading(entry);
    return SUCCESS;
  }
  error_code encode_reading(ondemand::object& object) {
    ReadingParts reading;
    std::optional<std::string> more;
    if (const auto error = take_entry(object, reading)) return error;
    if (reading.has_more) {
      if (const auto error = left_over(object, more)) return error;
    }
    AvroWriter writer = begin_message(*reading.sequence);
    write_optional_text(writer, reading.tag);
    writer.whole(*reading.time);
    write_optional_whole(writer, reading.time_ns);
    write_value(writer, reading.value);
    writer.text(*reading.quality);
    write_optional_text(writer, reading.reason);
    write_optional_text(writer, reading.time_quality);
    write_optional_text(writer, more);
    end_message(reading.tag.value_or(""));
    return SUCCESS;
  }
  error_code encode_readings(std::string_view text) {
    payload.reserve(text.size() + simdjson::SIMDJSON_PADDING);
    payload.assign(text).append(simdjson::SIMDJSON_PADDING, ' ');
    ondemand::document parsed;
    ondemand::array entries;
    if (const auto error = parser.iterate(payload.data(), text.size(), payload.size()).get(parsed)) return error;
    if (const auto error = parsed["readings"].get_array().get(entries)) return error;
    for (auto element : entries) {
      ondemand::object entry;
      if (const auto error = element.get_object().get(entry)) return error;
      if (const auto error = encode_reading(entry)) return error;
    }
    return SUCCESS;
  }

  error_code encode_documents(const OutgoingBatch& batch, std::string_view gateway) {
    dom::array entries;
    const auto error = tree_parser.parse(*batch.payload)[to_string(batch.stream)].get_array().get(entries);
    if (error) return error;
    for (const dom::element element : entries) {
      dom::object entry;
      std::int64_t sequence = 0;
      std::string_view tag;
      if (const auto wrong = element.get_object().get(entry)) return wrong;
      if (const auto wrong = entry["seq"].get_int64().get(sequence)) return wrong;
      AvroWriter writer = begin_message(sequence);
      batch.stream == Stream::alarms ? write_alarm(writer, entry) : write_event(writer, entry, gateway);
      if (entry["tag"].get_string().get(tag) != SUCCESS) tag = {};
      end_message(tag);
    }
    return SUCCESS;
  }
};

AvroRecords::AvroRecords(std::string gateway, AvroSchemaIds ids)
    : gateway_(std::move(gateway)), ids_(ids), workspace_(std::make_unique<Workspace>()) {}
AvroRecords::~AvroRecords() = default;

Result<void> AvroRecords::for_each(const OutgoingBatch& batch, const Visit& visit) {
  workspace_->begin_batch(ids_[static_cast<std::size_t>(batch.stream)], gateway_, batch.epoch);
  const error_code error = batch.stream == Stream::readings ? workspace_->encode_readings(*batch.payload)
                                                            : workspace_->encode_documents(batch, gateway_);
  if (error != SUCCESS) return no_batch(batch.stream, simdjson::error_message(error));
  workspace_->visit_messages(visit);
  return {};
}

}  // namespace tidegate::uplink
