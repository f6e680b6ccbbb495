#include "uplink/avro/avro_documents.h"

#include <algorithm>
#include <array>
#include <cstdint>
#include <vector>

#include "core/text.h"
#include "uplink/avro/avro_values.h"

namespace tidegate::uplink {
namespace {

namespace dom = simdjson::dom;

// The members of one entry, each of which is taken at most once; the rest is what no field holds.
class Members {
 public:
  explicit Members(const dom::object& entry) : entry_(entry) { take_as_known("seq"); }

  std::optional<std::string_view> text(std::string_view name) {
    std::string_view found;
    if (entry_[name].get_string().get(found) != simdjson::SUCCESS) return std::nullopt;
    take_as_known(name);
    return found;
  }
  std::optional<std::int64_t> whole(std::string_view name) {
    std::int64_t found = 0;
    if (entry_[name].get_int64().get(found) != simdjson::SUCCESS) return std::nullopt;
    take_as_known(name);
    return found;
  }
  AvroValue value() {
    dom::element found;
    if (entry_["value"].get(found) != simdjson::SUCCESS) return {};
    take_as_known("value");
    switch (found.type()) {
      case dom::element_type::BOOL:
        return found.get_bool().value_unsafe();
      case dom::element_type::INT64:
        return found.get_int64().value_unsafe();
      case dom::element_type::UINT64:
        return found.get_uint64().value_unsafe();
      case dom::element_type::DOUBLE:
        return found.get_double().value_unsafe();
      case dom::element_type::STRING:
        return found.get_string().value_unsafe();
      case dom::element_type::NULL_VALUE:
        return {};
      case dom::element_type::ARRAY:
      case dom::element_type::OBJECT:
        break;
    }
    taken_.pop_back();
    return {};
  }
  // {"epoch":1,"seq":2} and nothing else.
  std::optional<std::array<std::int64_t, 2>> position(std::string_view name) {
    dom::object found;
    if (entry_[name].get_object().get(found) != simdjson::SUCCESS) return std::nullopt;
    std::array<std::int64_t, 2> numbers{};
    const bool is_whole = found["epoch"].get_int64().get(numbers[0]) == simdjson::SUCCESS &&
                          found["seq"].get_int64().get(numbers[1]) == simdjson::SUCCESS;
    if (!is_whole || found.size() != 2) return std::nullopt;
    take_as_known(name);
    return numbers;
  }

  void take_as_known(std::string_view name) { taken_.push_back(name); }
  std::size_t mark() const { return taken_.size(); }
  void give_back(std::size_t mark) { taken_.resize(mark); }

  std::optional<std::string> rest() const {
    std::string rest;
    for (const auto& [name, value] : entry_) {
      if (std::find(taken_.begin(), taken_.end(), name) != taken_.end()) continue;
      rest += rest.empty() ? '{' : ',';
      append_json_string(rest, name);
      rest += ':' + simdjson::minify(value);
    }
    if (rest.empty()) return std::nullopt;
    return rest + '}';
  }

 private:
  const dom::object& entry_;
  std::vector<std::string_view> taken_;
};

void write_position(AvroWriter& writer, const std::optional<std::array<std::int64_t, 2>>& position) {
  if (!position) return writer.nothing();
  writer.something();
  for (const std::int64_t number : *position) writer.whole(number);
}

// All of it, or nothing: its members then stay with what has no field.
void write_gap(AvroWriter& writer, Members& members, bool is_gap) {
  const std::size_t mark = members.mark();
  std::array<std::optional<std::int64_t>, 4> numbers;
  const auto stream = is_gap ? members.text("stream") : std::nullopt;
  const auto reason = is_gap ? members.text("reason") : std::nullopt;
  bool is_whole = stream && reason;
  constexpr std::array<std::string_view, 4> kNumbers{"epoch", "first", "last", "count"};
  for (std::size_t i = 0; i < kNumbers.size() && is_whole; ++i) {
    numbers[i] = members.whole(kNumbers[i]);
    is_whole = numbers[i].has_value();
  }
  if (!is_whole) {
    members.give_back(mark);
    return writer.nothing();
  }
  writer.something();
  writer.text(*stream);
  for (const auto& number : numbers) writer.whole(*number);
  writer.text(*reason);
}

}  // namespace

void write_alarm(AvroWriter& writer, const dom::object& entry) {
  Members members(entry);
  for (const char* const name : {"alarm", "rule", "tag", "state", "severity", "message"}) {
    write_optional_text(writer, members.text(name));
  }
  write_optional_whole(writer, members.whole("time"));
  write_optional_whole(writer, members.whole("time_ns"));
  write_value(writer, members.value());
  write_position(writer, members.position("cause"));
  write_position(writer, members.position("occurrence"));
  write_optional_text(writer, members.rest());
}

void write_event(AvroWriter& writer, const dom::object& entry, std::string_view gateway) {
  Members members(entry);
  std::string_view own;
  if (entry["gateway"].get_string().get(own) == simdjson::SUCCESS && own == gateway) members.take_as_known("gateway");
  const auto event = members.text("event");
  write_optional_text(writer, event);
  write_optional_whole(writer, members.whole("time"));
  for (const char* const name : {"detail", "uplink", "driver", "device"}) {
    write_optional_text(writer, members.text(name));
  }
  write_gap(writer, members, event == "gap");
  write_optional_text(writer, members.rest());
}

std::optional<std::string> left_over_of_reading(const dom::object& entry) {
  Members members(entry);
  for (const char* const name : {"tag", "quality", "reason", "time_quality"}) members.text(name);
  for (const char* const name : {"time", "time_ns"}) members.whole(name);
  members.value();
  dom::element tag;
  if (entry["tag"].get(tag) == simdjson::SUCCESS && tag.is_null()) members.take_as_known("tag");
  return members.rest();
}

}  // namespace tidegate::uplink
