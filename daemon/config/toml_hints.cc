#include "daemon/config/toml_hints.h"

#include <algorithm>
#include <cctype>

namespace tidegate::daemon {
namespace {

constexpr std::string_view kSpace = " \t\r";

std::string_view line_of(std::string_view text, std::uint32_t line) {
  for (; line > 1; --line) {
    const std::size_t end = text.find('\n');
    if (end == std::string_view::npos) return {};
    text.remove_prefix(end + 1);
  }
  return text.substr(0, text.find('\n'));
}

std::string_view without_space(std::string_view text) {
  text.remove_prefix(std::min(text.find_first_not_of(kSpace), text.size()));
  return text;
}

bool is_of_key(char c) { return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '_' || c == '-' || c == '.'; }

// A text that begins in `value` and does not end there.
bool lacks_closing_quote(std::string_view value) {
  const char quote = value[0];
  if (value.substr(0, 3) == std::string(3, quote)) return false;  // it may go on for lines
  for (std::size_t at = 1; at < value.size(); ++at) {
    if (value[at] == quote) return false;
    if (value[at] == '\\' && quote == '"') ++at;
  }
  return true;
}

// Numbers with what they count, and words but for the two that are values.
bool is_bare_text(std::string_view value) {
  const std::string_view word = value.substr(0, value.find_first_of(" \t\r,]}#"));
  if (word.empty() || word[0] == '"' || word[0] == '\'' || word[0] == '[' || word[0] == '{') return false;
  if (word == "true" || word == "false") return false;
  return !std::all_of(word.begin(), word.end(),
                      [](char c) { return std::string_view("+-._0123456789").find(c) != std::string_view::npos; });
}

}  // namespace

std::string toml_hint(std::string_view text, std::uint32_t line) {
  const std::string_view whole = without_space(line_of(text, line));
  const auto key_end = std::find_if_not(whole.begin(), whole.end(), is_of_key);
  const std::string key(whole.begin(), key_end);
  std::string_view value = without_space(whole.substr(key.size()));
  if (key.empty() || !value.starts_with('=')) return "";
  value = without_space(value.substr(1));
  if (value.empty()) return "a value is missing: " + key + " = ...";
  if (value[0] == '=') return "one equals sign: " + key + " = ...";
  if (value[0] == '"' || value[0] == '\'') {
    return lacks_closing_quote(value) ? std::string("the text has no ") + value[0] + " at its end" : "";
  }
  constexpr std::string_view kRule = "texts, sizes and times stand in quotes: ";
  if (value[0] == '[') {
    return is_bare_text(without_space(value.substr(1))) ? std::string(kRule) + key + " = [\"...\"]" : "";
  }
  return is_bare_text(value) ? std::string(kRule) + key + " = \"...\"" : "";
}

}  // namespace tidegate::daemon
