#include "uplink/postgresql/postgresql_rows.h"

#include <simdjson.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <chrono>
#include <cstdint>
#include <limits>
#include <optional>

#include "core/text.h"
#include "uplink/json_text.h"
#include "uplink/postgresql/postgresql_columns.h"

namespace tidegate::uplink {
namespace {

namespace ondemand = simdjson::ondemand;

constexpr std::string_view kNull = "\\N";
constexpr std::size_t kTextsMax = 6;
constexpr std::int64_t kMillisecond = 1'000'000;
constexpr std::int64_t kMillisecondsMax = std::numeric_limits<std::int64_t>::max() / kMillisecond - 1;

/// One entry, taken apart. Texts point into the parser.
struct Entry {
  std::uint64_t sequence = 0;
  std::optional<WallTime> time;
  std::array<std::optional<std::string_view>, kTextsMax> texts{};
  std::optional<std::string_view> value_double;
  std::optional<std::string_view> value_int;
  std::optional<bool> value_bool;
  std::optional<std::string_view> value_text;
  bool is_odd = false;  // something has no column that can hold it
};

std::string_view trimmed(std::string_view token) {
  const std::size_t end = token.find_last_not_of(" \t\r\n");
  return token.substr(0, end == std::string_view::npos ? 0 : end + 1);
}

// Nothing for what is no text, or none that a column can hold.
std::optional<std::string_view> storable_text(ondemand::value value, Entry& entry) {
  std::string_view text;
  if (value.get_string().get(text) == simdjson::SUCCESS && text.find('\0') == std::string_view::npos) return text;
  entry.is_odd = true;
  return std::nullopt;
}

simdjson::error_code take_number(ondemand::value value, Entry& entry) {
  const std::string_view token = trimmed(value.raw_json_token());
  double real = 0;
  std::int64_t whole = 0;
  if (token.find_first_of(".eE") != std::string_view::npos) {
    if (const auto error = value.get_double().get(real)) return error;
    entry.value_double = token;
  } else if (value.get_int64().get(whole) == simdjson::SUCCESS) {
    entry.value_int = token;
  } else {
    entry.is_odd = true;
  }
  return simdjson::SUCCESS;
}

simdjson::error_code take_value(ondemand::value value, Entry& entry) {
  ondemand::json_type type{};
  if (const auto error = value.type().get(type)) return error;
  bool flag = false;
  switch (type) {
    case ondemand::json_type::number:
      return take_number(value, entry);
    case ondemand::json_type::boolean:
      if (const auto error = value.get_bool().get(flag)) return error;
      entry.value_bool = flag;
      return simdjson::SUCCESS;
    case ondemand::json_type::string:
      entry.value_text = storable_text(value, entry);
      return simdjson::SUCCESS;
    case ondemand::json_type::null:
      return simdjson::SUCCESS;
    default:
      entry.is_odd = true;
      return simdjson::SUCCESS;
  }
}

simdjson::error_code take_time(ondemand::value value, bool is_fine, Entry& entry) {
  std::int64_t number = 0;
  const bool is_time = value.get_int64().get(number) == simdjson::SUCCESS;
  if (is_time && is_fine) {
    entry.time = WallTime(std::chrono::nanoseconds(number));
  } else if (is_time && number <= kMillisecondsMax && number >= -kMillisecondsMax) {
    if (!entry.time) entry.time = WallTime(std::chrono::milliseconds(number));
  } else {
    entry.is_odd = true;
  }
  return simdjson::SUCCESS;
}

simdjson::error_code take_member(std::string_view name, ondemand::value value, Stream stream, Entry& entry) {
  if (name == "seq") return value.get_uint64().get(entry.sequence);
  if (name == "time" || name == "time_ns") return take_time(value, name == "time_ns", entry);
  if (name == "value" && stream != Stream::events) return take_value(value, entry);
  const auto& members = postgresql_text_members(stream);
  const auto found = std::find(members.begin(), members.end(), name);
  if (found != members.end()) {
    entry.texts[static_cast<std::size_t>(found - members.begin())] = storable_text(value, entry);
  }
  return simdjson::SUCCESS;
}

simdjson::error_code take_entry(ondemand::object& object, Stream stream, Entry& entry) {
  for (auto each : object) {
    ondemand::field field;
    std::string_view name;
    if (const auto error = std::move(each).get(field)) return error;
    if (const auto error = field.unescaped_key().get(name)) return error;
    if (const auto error = take_member(name, field.value(), stream, entry)) return error;
  }
  return simdjson::SUCCESS;
}

template <class Number>
void append_digits(std::string& out, Number number) {
  std::array<char, 24> digits{};
  out.append(digits.data(), std::to_chars(digits.data(), digits.data() + digits.size(), number).ptr);
}

void append_padded(std::string& out, std::int64_t number, std::size_t width) {
  std::array<char, 24> digits{};
  const char* const end = std::to_chars(digits.data(), digits.data() + digits.size(), number).ptr;
  const auto size = static_cast<std::size_t>(end - digits.data());
  out.append(width - std::min(width, size), '0');
  out.append(digits.data(), size);
}

// What is behind a field that is there, or null.
void append_token(std::string& out, const std::optional<std::string_view>& token) {
  out += '\t';
  out += token.value_or(kNull);
}
void append_text(std::string& out, const std::optional<std::string_view>& text) {
  out += '\t';
  text ? append_copy_text(out, *text) : (void)(out += kNull);
}

void append_times(std::string& out, const std::optional<WallTime>& time) {
  constexpr std::int64_t kMicrosecond = 1'000;
  out += '\t';
  time ? append_timestamp(out, *time) : (void)(out += kNull);
  out += '\t';
  const bool is_finer = time && time->time_since_epoch().count() % kMicrosecond != 0;
  is_finer ? append_digits(out, time->time_since_epoch().count()) : (void)(out += kNull);
}

void append_values(std::string& out, const Entry& entry) {
  append_token(out, entry.value_double);
  append_token(out, entry.value_int);
  append_token(out, entry.value_bool ? std::optional<std::string_view>(*entry.value_bool ? "t" : "f") : std::nullopt);
  append_text(out, entry.value_text);
}

// What stands behind the columns of all entries of a batch.
struct BatchParts {
  Stream stream = Stream::readings;
  std::string beginning;
  bool is_historical = false;
};

simdjson::error_code append_row(std::string& out, ondemand::object& object, const BatchParts& batch) {
  const bool has_document = batch.stream != Stream::readings;
  Entry entry;
  if (const auto error = take_entry(object, batch.stream, entry)) return error;
  std::optional<std::string_view> document;
  if (has_document || entry.is_odd) {
    std::string_view text;
    if (const auto error = object.reset().error()) return error;
    if (const auto error = object.raw_json().get(text)) return error;
    document = trimmed(text);
  }
  const bool is_whole = document && fits_jsonb(*document);
  out += batch.beginning;
  append_digits(out, entry.sequence);
  append_times(out, entry.time);
  const std::size_t texts = postgresql_text_members(batch.stream).size();
  for (std::size_t i = 0; i < texts; ++i) append_text(out, entry.texts[i]);
  if (batch.stream != Stream::events) append_values(out, entry);
  if (has_document) {
    append_text(out, is_whole ? document : std::nullopt);
  } else {
    append_token(out, batch.is_historical ? "t" : "f");
  }
  const bool is_left_over = has_document ? !is_whole || entry.is_odd : entry.is_odd;
  append_text(out, is_left_over ? document : std::nullopt);
  out += '\n';
  return simdjson::SUCCESS;
}

simdjson::error_code append_rows(std::string& out, const std::string& payload, BatchParts& batch) {
  const simdjson::padded_string padded(payload);
  ondemand::parser parser;
  ondemand::document parsed;
  ondemand::object object;
  ondemand::array entries;
  if (const auto error = parser.iterate(padded).get(parsed)) return error;
  if (const auto error = parsed.get_object().get(object)) return error;
  if (const auto error = object["historical"].get_bool().get(batch.is_historical)) return error;
  if (const auto error = object[to_string(batch.stream)].get_array().get(entries)) return error;
  for (auto element : entries) {
    ondemand::object entry;
    if (const auto error = element.get_object().get(entry)) return error;
    if (const auto error = append_row(out, entry, batch)) return error;
  }
  return simdjson::SUCCESS;
}

std::optional<unsigned> hex_at(std::string_view json, std::size_t at) {
  unsigned code = 0;
  if (at + 4 > json.size()) return std::nullopt;
  const char* const end = json.data() + at + 4;
  return std::from_chars(json.data() + at, end, code, 16).ptr == end ? std::optional(code) : std::nullopt;
}

bool is_high_half(unsigned code) { return code >= 0xd800 && code < 0xdc00; }
bool is_low_half(unsigned code) { return code >= 0xdc00 && code < 0xe000; }

}  // namespace

PostgresqlRows::PostgresqlRows(const std::string& gateway)
    : gateway_([&gateway] {
        std::string field;
        append_copy_text(field, gateway);
        return field + '\t';
      }()) {}

Result<void> PostgresqlRows::append(std::string& into, const OutgoingBatch& batch) const {
  BatchParts parts{batch.stream, gateway_};
  append_digits(parts.beginning, batch.epoch);
  parts.beginning += '\t';
  if (const auto error = append_rows(into, *batch.payload, parts)) {
    return no_batch(batch.stream, simdjson::error_message(error));
  }
  return {};
}

void append_copy_text(std::string& out, std::string_view text) {
  for (;;) {
    const std::size_t at = text.find_first_of("\\\n\r\t");
    out += text.substr(0, at);
    if (at == std::string_view::npos) return;
    out += '\\';
    const char c = text[at];
    out += c == '\n' ? 'n' : c == '\r' ? 'r' : c == '\t' ? 't' : '\\';
    text.remove_prefix(at + 1);
  }
}

void append_timestamp(std::string& out, WallTime time) {
  const std::chrono::sys_time<std::chrono::microseconds> civil(
      std::chrono::floor<std::chrono::microseconds>(time.time_since_epoch()));
  const auto days = std::chrono::floor<std::chrono::days>(civil);
  const std::chrono::year_month_day date(days);
  const std::chrono::hh_mm_ss clock(civil - days);
  append_padded(out, int{date.year()}, 4);
  out += '-';
  append_padded(out, unsigned{date.month()}, 2);
  out += '-';
  append_padded(out, unsigned{date.day()}, 2);
  out += ' ';
  append_padded(out, clock.hours().count(), 2);
  out += ':';
  append_padded(out, clock.minutes().count(), 2);
  out += ':';
  append_padded(out, clock.seconds().count(), 2);
  if (clock.subseconds().count() != 0) {
    out += '.';
    append_padded(out, clock.subseconds().count(), 6);
  }
  out += "+00";
}

bool fits_jsonb(std::string_view json) {
  for (std::size_t at = json.find('\\'); at < json.size(); at = json.find('\\', at)) {
    if (at + 1 >= json.size() || json[at + 1] != 'u') {
      at += 2;
      continue;
    }
    const auto code = hex_at(json, at + 2);
    if (!code || *code == 0 || is_low_half(*code)) return false;
    at += 6;
    if (!is_high_half(*code)) continue;
    const auto low = json.substr(std::min(at, json.size())).starts_with("\\u") ? hex_at(json, at + 2) : std::nullopt;
    if (!low || !is_low_half(*low)) return false;
    at += 6;
  }
  return true;
}

}  // namespace tidegate::uplink
