#include "uplink/csv_lines.h"

#include <simdjson.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <span>
#include <string_view>
#include <utility>

#include "core/clock.h"
#include "core/text.h"
#include "uplink/fitted_parser.h"
#include "uplink/json_text.h"

namespace tidegate::uplink {
namespace {

namespace dom = simdjson::dom;

constexpr std::string_view kLineEnd = "\r\n";

// Behind stream, gateway and epoch. "kind" is that of the value, "more" what has no column of its own.
constexpr std::array<std::string_view, 8> kReadings{"seq",  "tag",     "time",   "value",
                                                    "kind", "quality", "reason", "time_quality"};
constexpr std::array<std::string_view, 11> kAlarms{"seq",     "alarm", "rule", "tag",  "state", "severity",
                                                   "message", "value", "kind", "time", "more"};
constexpr std::array<std::string_view, 4> kEvents{"seq", "event", "time", "more"};

std::span<const std::string_view> columns(Stream stream) {
  switch (stream) {
    case Stream::readings:
      return kReadings;
    case Stream::alarms:
      return kAlarms;
    case Stream::events:
      return kEvents;
  }
  return {};
}

bool looks_like_a_formula(std::string_view text) {
  constexpr std::string_view kBegin = "=+-@\t\r\n";
  return !text.empty() && kBegin.find(text.front()) != std::string_view::npos;
}

// A zero byte would be taken for a page that a crash left.
void append_text(std::string& out, std::string_view text, bool spreadsheet_safe) {
  constexpr std::string_view kReplacement = "\xef\xbf\xbd";
  out += '"';
  if (spreadsheet_safe && looks_like_a_formula(text)) out += '\'';
  for (const char c : text) {
    if (c == '"') out += '"';
    if (c == '\0') {
      out += kReplacement;
    } else {
      out += c;
    }
  }
  out += '"';
}

std::string_view kind_of(const dom::object& entry) {
  dom::element value;
  if (entry["value"].get(value) != simdjson::SUCCESS) return "";
  switch (value.type()) {
    case dom::element_type::BOOL:
      return "bool";
    case dom::element_type::INT64:
    case dom::element_type::UINT64:
      return "int";
    case dom::element_type::DOUBLE:
      return "float";
    case dom::element_type::STRING:
      return "text";
    case dom::element_type::NULL_VALUE:
      return "null";
    case dom::element_type::ARRAY:
    case dom::element_type::OBJECT:
      return "json";
  }
  return "";
}

void append_value(std::string& out, const dom::element& value, bool spreadsheet_safe) {
  switch (value.type()) {
    case dom::element_type::BOOL:
      out += value.get_bool().value_unsafe() ? "true" : "false";
      return;
    case dom::element_type::INT64:
      return append_number(out, value.get_int64().value_unsafe());
    case dom::element_type::UINT64:
      return append_number(out, value.get_uint64().value_unsafe());
    case dom::element_type::DOUBLE:
      return append_number(out, value.get_double().value_unsafe());
    case dom::element_type::STRING:
      return append_text(out, value.get_string().value_unsafe(), spreadsheet_safe);
    case dom::element_type::NULL_VALUE:
      return;
    case dom::element_type::ARRAY:
    case dom::element_type::OBJECT:
      return append_text(out, simdjson::minify(value), spreadsheet_safe);
  }
}

// 2026-11-20T07:31:00.123Z, with nine digits behind the point where the source was finer.
void append_time(std::string& out, const dom::object& entry) {
  constexpr std::int64_t kMillisecond = 1'000'000;
  std::int64_t time = 0;
  if (entry["time_ns"].get_int64().get(time) == simdjson::SUCCESS) {
    out += format_utc(WallTime(std::chrono::nanoseconds(time)));
    out.pop_back();
    const auto finer = std::to_string((time % kMillisecond + kMillisecond) % kMillisecond);
    out.append(6 - finer.size(), '0');
    out += finer + 'Z';
  } else if (entry["time"].get_int64().get(time) == simdjson::SUCCESS) {
    if (time > INT64_MAX / kMillisecond || time < INT64_MIN / kMillisecond) return append_number(out, time);
    out += format_utc(WallTime(std::chrono::milliseconds(time)));
  }
}

void append_more(std::string& out, Stream stream, const dom::object& entry, bool spreadsheet_safe) {
  const auto known = columns(stream);
  std::string more;
  for (const auto& [name, value] : entry) {
    const bool has_column = std::find(known.begin(), known.end(), name) != known.end();
    if (name == "time_ns" || (has_column && name != "kind" && name != "more")) continue;
    more += more.empty() ? '{' : ',';
    append_json_string(more, name);
    more += ':' + simdjson::minify(value);
  }
  if (!more.empty()) append_text(out, more + '}', spreadsheet_safe);
}

}  // namespace

struct CsvLines::Parser {
  FittedParser dom;
};

CsvLines::CsvLines(std::string gateway, bool spreadsheet_safe)
    : gateway_(std::move(gateway)), spreadsheet_safe_(spreadsheet_safe), parser_(std::make_unique<Parser>()) {}
CsvLines::~CsvLines() = default;

Result<WallTime> CsvLines::append(std::string& into, const OutgoingBatch& batch) const {
  dom::element parsed;
  dom::array entries;
  std::int64_t sent = 0;
  auto error = parser_->dom.parse(*batch.payload).get(parsed);
  if (!error) error = parsed["sent"].get_int64().get(sent);
  if (!error) error = parsed[to_string(batch.stream)].get_array().get(entries);
  if (error) return no_batch(batch.stream, simdjson::error_message(error));
  std::string usual = beginning(batch.stream);
  append_text(usual, gateway_, spreadsheet_safe_);
  usual += "," + std::to_string(batch.epoch);
  for (const dom::element element : entries) {
    dom::object entry;
    if (element.get_object().get(entry) != simdjson::SUCCESS) {
      return no_batch(batch.stream, "found " + clip(simdjson::minify(element), 100));
    }
    into += usual;
    for (const std::string_view column : columns(batch.stream)) {
      into += ',';
      dom::element value;
      if (column == "kind") {
        into += kind_of(entry);
      } else if (column == "time") {
        append_time(into, entry);
      } else if (column == "more") {
        append_more(into, batch.stream, entry, spreadsheet_safe_);
      } else if (entry[column].get(value) == simdjson::SUCCESS) {
        append_value(into, value, spreadsheet_safe_);
      }
    }
    into += kLineEnd;
  }
  return WallTime(std::chrono::milliseconds(sent));
}

LineForm CsvLines::form(Stream stream) const {
  std::string header = "stream,gateway,epoch";
  for (const std::string_view column : columns(stream)) header.append(",").append(column);
  return {beginning(stream), header + std::string(kLineEnd), true};
}

// Without the gateway's id, which may have been another one when the file's end was written.
std::string CsvLines::beginning(Stream stream) { return std::string("\"") + to_string(stream) + "\","; }

}  // namespace tidegate::uplink
