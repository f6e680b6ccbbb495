#include "drivers/mqtt/csv_line.h"

#include <algorithm>
#include <charconv>
#include <cmath>

#include "core/text.h"
#include "core/value.h"
#include "drivers/mqtt/decimal.h"

namespace tidegate::drivers {
namespace {

// "nan" and "inf" in all spellings of C.
bool is_not_finite(std::string_view text) {
  double number = 0;
  const auto [end, problem] = std::from_chars(text.data(), text.data() + text.size(), number);
  return problem == std::errc() && end == text.data() + text.size() && !std::isfinite(number);
}

// What printf("%+f") and many instruments write in front of a number.
std::string_view without_plus(std::string_view field) {
  const bool is_number = field.size() > 1 && field[0] == '+' && field[1] != '-';
  return is_number ? field.substr(1) : field;
}

// Other columns do not suffer from one that is no number that can be stored.
void take_unquoted(std::string_view field, Value& value) {
  if (field.empty()) return;
  const std::string_view number = without_plus(field);
  const Refusal why = parse_number(number, value);
  if (why == Refusal::none) return;
  if (why == Refusal::bad_number || is_not_finite(number)) {
    value = {};
  } else {
    value = std::string(field);
  }
}

/// Takes the fields of a line one after the other.
class Fields {
 public:
  explicit Fields(std::string_view line) : left_(line) {}

  bool at_end() const { return at_end_; }
  Refusal take(std::string& json) {
    skip_spaces();
    return !left_.empty() && left_.front() == '"' ? take_quoted(json) : take_plain(json);
  }

 private:
  void skip_spaces() { left_.remove_prefix(std::min(left_.find_first_not_of(" \t"), left_.size())); }

  Refusal take_quoted(std::string& json) {
    std::string text;
    left_.remove_prefix(1);
    for (;;) {
      const auto quote = left_.find('"');
      if (quote == std::string_view::npos) return Refusal::not_csv;
      text += left_.substr(0, quote);
      left_.remove_prefix(quote + 1);
      if (left_.empty() || left_.front() != '"') break;
      text += '"';
      left_.remove_prefix(1);
    }
    append_json_string(json, text);
    skip_spaces();
    return pass_comma() ? Refusal::none : Refusal::not_csv;
  }

  Refusal take_plain(std::string& json) {
    const auto end = std::min(left_.find(','), left_.size());
    const std::string_view field = trimmed(left_.substr(0, end));
    left_.remove_prefix(end);
    pass_comma();
    if (field.find('"') != std::string_view::npos) return Refusal::not_csv;
    Value value;
    take_unquoted(field, value);
    append_json(json, value);
    return Refusal::none;
  }

  // False when something else stands there.
  bool pass_comma() {
    at_end_ = left_.empty();
    if (at_end_) return true;
    if (left_.front() != ',') return false;
    left_.remove_prefix(1);
    return true;
  }

  std::string_view left_;
  bool at_end_ = false;
};

std::string_view without_line_end(std::string_view line) {
  if (line.ends_with('\n')) line.remove_suffix(1);
  if (line.ends_with('\r')) line.remove_suffix(1);
  return line;
}

}  // namespace

Refusal csv_as_json(std::string_view line, std::string& json) {
  if (line.empty() || line.size() > kCsvLineBytesMax) return Refusal::not_csv;
  line = without_line_end(line);
  if (line.find_first_of("\r\n") != std::string_view::npos) return Refusal::not_csv;
  if (!is_valid_utf8(line)) return Refusal::not_utf8;
  json = "[";
  for (Fields fields(line); !fields.at_end();) {
    if (json.size() > 1) json += ',';
    if (const Refusal why = fields.take(json); why != Refusal::none) return why;
  }
  json += ']';
  return Refusal::none;
}

}  // namespace tidegate::drivers
