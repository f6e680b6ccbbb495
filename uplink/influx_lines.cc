#include "uplink/influx_lines.h"

#include <simdjson.h>

#include <string_view>
#include <utility>

#include "core/text.h"
#include "uplink/fitted_parser.h"
#include "uplink/json_text.h"

namespace tidegate::uplink {
namespace {

namespace dom = simdjson::dom;

// Line protocol, "special characters": names and tags escape commas, equal signs and spaces, measurements no equal
// signs. It has no way to write a line break there, and a backslash at the end would escape what follows.
void append_escaped(std::string& out, std::string_view text, std::string_view escaped) {
  for (const char c : text) {
    if (c == '\n' || c == '\r' || c == '\0') {
      out += "\\ ";
      continue;
    }
    if (escaped.find(c) != std::string_view::npos) out += '\\';
    out += c;
  }
  if (text.ends_with('\\')) out += "\\ ";
}

void append_measurement(std::string& out, std::string_view text) {
  // A line that begins with '#' is a comment.
  if (text.starts_with('#')) out += '\\';
  append_escaped(out, text, ", ");
}

void append_name(std::string& out, std::string_view text) { append_escaped(out, text, ",= "); }

void append_tag(std::string& out, std::string_view name, std::string_view value) {
  if (value.empty()) return;  // the protocol has no empty tags
  out += ',';
  append_name(out, name);
  out += '=';
  append_name(out, value);
}

void append_text(std::string& out, std::string_view text) {
  out += '"';
  for (const char c : text) {
    if (c == '"' || c == '\\') out += '\\';
    out += c;
  }
  out += '"';
}

std::string_view text_of(const dom::object& entry, std::string_view name) {
  std::string_view text;
  return entry[name].get_string().get(text) == simdjson::SUCCESS ? text : std::string_view();
}

// Fields of one line.
class Fields {
 public:
  explicit Fields(std::string& out) : out_(out) {}

  // False when the protocol has no word for it.
  bool add(std::string_view name, const dom::element& value, bool integer_as_float) {
    switch (value.type()) {
      case dom::element_type::BOOL:
        begin(name);
        out_ += value.get_bool().value_unsafe() ? "true" : "false";
        return true;
      case dom::element_type::INT64:
        begin(name);
        append_number(out_, value.get_int64().value_unsafe());
        if (!integer_as_float) out_ += 'i';
        return true;
      case dom::element_type::UINT64:
        if (!integer_as_float) return false;
        begin(name);
        append_number(out_, static_cast<double>(value.get_uint64().value_unsafe()));
        return true;
      case dom::element_type::DOUBLE:
        begin(name);
        append_number(out_, value.get_double().value_unsafe());
        return true;
      case dom::element_type::STRING:
        begin(name);
        append_text(out_, value.get_string().value_unsafe());
        return true;
      case dom::element_type::NULL_VALUE:
        return true;  // nothing was measured; the quality says why
      case dom::element_type::ARRAY:
      case dom::element_type::OBJECT:
        begin(name);
        append_text(out_, simdjson::minify(value));
        return true;
    }
    return false;
  }

 private:
  void begin(std::string_view name) {
    out_ += std::exchange(separator_, ',');
    append_name(out_, name);
    out_ += '=';
  }

  std::string& out_;
  char separator_ = ' ';
};

bool append_time(std::string& out, const dom::object& entry, std::int64_t sent_ms) {
  constexpr std::int64_t kMillisecond = 1'000'000;
  std::int64_t time = 0;
  out += ' ';
  if (entry["time_ns"].get_int64().get(time) == simdjson::SUCCESS) {
    append_number(out, time);
  } else {
    if (entry["time"].get_int64().get(time) != simdjson::SUCCESS) time = sent_ms;
    if (time > INT64_MAX / kMillisecond || time < INT64_MIN / kMillisecond) return false;
    append_number(out, time * kMillisecond);
  }
  out += '\n';
  return true;
}

// Which members of an entry are tags, and so name the series; the rest are fields.
bool is_tag(Stream stream, std::string_view name) {
  switch (stream) {
    case Stream::readings:
      return name == "tag";
    case Stream::alarms:
      return name == "alarm" || name == "rule" || name == "tag" || name == "severity";
    case Stream::events:
      return name == "event";
  }
  return false;
}

// The sequence of a reading would double what is stored of it; the target knows it by series and time.
bool is_no_field(Stream stream, std::string_view name) {
  return name == "time" || name == "time_ns" || is_tag(stream, name) || (name == "seq" && stream == Stream::readings);
}

void append_series(std::string& out, Stream stream, const dom::object& entry, const std::string& gateway_tag) {
  if (stream == Stream::readings) {
    const std::string_view path = text_of(entry, "tag");
    append_measurement(out, path);
    out += gateway_tag;
    const std::size_t slash = path.rfind('/');
    if (slash != std::string_view::npos) append_tag(out, "device", path.substr(0, slash));
    return;
  }
  out += stream == Stream::alarms ? "tidegate_alarms" : "tidegate_events";
  out += gateway_tag;
  for (const auto& [name, value] : entry) {
    std::string_view text;
    if (is_tag(stream, name) && value.get_string().get(text) == simdjson::SUCCESS) append_tag(out, name, text);
  }
}

}  // namespace

struct InfluxLines::Parser {
  FittedParser dom;
};

InfluxLines::InfluxLines(const std::string& gateway, bool integers_as_floats)
    : integers_as_floats_(integers_as_floats), parser_(std::make_unique<Parser>()) {
  append_tag(gateway_tag_, "gateway", gateway);
}
InfluxLines::~InfluxLines() = default;

Result<void> InfluxLines::append(std::string& into, const OutgoingBatch& batch) {
  dom::element parsed;
  dom::array entries;
  std::int64_t sent = 0;
  const std::string& payload = *batch.payload;
  auto error = parser_->dom.parse(payload).get(parsed);
  if (!error) error = parsed["sent"].get_int64().get(sent);
  if (!error) error = parsed[to_string(batch.stream)].get_array().get(entries);
  if (error) return no_batch(batch.stream, simdjson::error_message(error));
  for (const dom::element& element : entries) {
    dom::object entry;
    if (element.get_object().get(entry) != simdjson::SUCCESS) {
      return no_batch(batch.stream, "found " + clip(simdjson::minify(element), 100));
    }
    const std::size_t beginning = into.size();
    append_series(into, batch.stream, entry, gateway_tag_);
    Fields fields(into);
    for (const auto& [name, value] : entry) {
      if (is_no_field(batch.stream, name)) continue;
      if (!fields.add(name, value, integers_as_floats_ && name == "value")) ++left_out_.values;
    }
    if (append_time(into, entry, sent)) continue;
    ++left_out_.records;
    into.resize(beginning);
  }
  return {};
}

void InfluxLines::say_left_out(const std::string& uplink, BootTime now) {
  if (left_out_ == said_ || !complaints_.admit("left out", now)) return;
  said_ = left_out_;
  log_warning("uplink",
              "{}: line protocol cannot say integers of more than 63 bits, nor times of more than 63 bits of "
              "nanoseconds: so far {} values and {} whole records were left out",
              uplink, said_.values, said_.records);
}

}  // namespace tidegate::uplink
