#include "daemon/config/toml_hints.h"

#include <algorithm>
#include <cctype>
#include <string>

namespace tidegate::daemon {
namespace {

constexpr std::string_view kSpace = " \t\r";

std::string_view without_space(std::string_view text) {
  text.remove_prefix(std::min(text.find_first_not_of(kSpace), text.size()));
  return text;
}

// Where the line begins; nothing where that is within a text or a list of several lines.
std::size_t beginning_of(std::string_view document, std::uint32_t line) {
  std::size_t at = 0;
  int depth = 0;
  while (line > 1 && at < document.size()) {
    const char c = document[at];
    if (c == '"' || c == '\'') {
      const std::size_t end = end_of_toml_text(document, at);
      const std::string_view passed = document.substr(at, end - at);
      const auto lines = static_cast<std::uint32_t>(std::count(passed.begin(), passed.end(), '\n'));
      if (lines >= line - 1) return std::string_view::npos;
      line -= lines;
      at = end;
      continue;
    }
    if (c == '#') {
      at = std::min(document.find('\n', at), document.size());
      continue;
    }
    if (c == '[' || c == '{') ++depth;
    if (c == ']' || c == '}') --depth;
    if (c == '\n') --line;
    ++at;
  }
  return depth == 0 && line <= 1 ? at : std::string_view::npos;
}

bool is_of_key(char c) { return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '_' || c == '-' || c == '.'; }

bool is_number_or_date(std::string_view word) {
  const std::string_view bare = word.substr(word.starts_with('+') || word.starts_with('-') ? 1 : 0);
  if (bare == "inf" || bare == "nan") return true;
  if (bare.empty() || std::isdigit(static_cast<unsigned char>(bare[0])) == 0) return false;
  if (bare.starts_with("0x") || bare.starts_with("0o") || bare.starts_with("0b")) return true;
  const bool has_date = bare.size() >= 5 && (bare[4] == '-' || bare[2] == ':');
  const std::string_view allowed = has_date ? "0123456789-+:.TtZz" : "0123456789_.eE+-";
  return bare.find_first_not_of(allowed) == std::string_view::npos;
}

std::string_view hint_of_word(std::string_view word) {
  constexpr std::string_view kBooleans = "true or false, in small letters and without quotes";
  constexpr std::string_view kQuotes = "texts, sizes and times stand in quotes: key = \"...\"";
  std::string small(word);
  std::transform(small.begin(), small.end(), small.begin(), [](unsigned char c) { return std::tolower(c); });
  for (const char* meant : {"true", "false", "yes", "no", "on", "off"}) {
    if (small == meant) return word == "true" || word == "false" ? "" : kBooleans;
  }
  const bool has_letter = std::any_of(word.begin(), word.end(), [](unsigned char c) { return std::isalpha(c) != 0; });
  return is_number_or_date(word) || !(has_letter || word.find(':') != std::string_view::npos) ? "" : kQuotes;
}

std::string_view hint_of_text(std::string_view value, bool is_escape) {
  constexpr std::string_view kBackslash =
      R"(a backslash begins an escape in "...": write \\ there, or the text in '...')";
  constexpr std::string_view kNoEnd = "the text has no quote at its end";
  if (value.starts_with("\"\"\"") || value.starts_with("'''")) return "";
  if (is_escape) return kBackslash;
  if (end_of_toml_text(value, 0) < value.size()) return "";  // it is closed, and what is wrong stands behind it
  const std::string_view text = value.substr(0, value.find_last_not_of(kSpace) + 1);
  const bool ends_with_quote = text.size() > 1 && text.back() == value[0];
  if (!ends_with_quote) return kNoEnd;
  // A backslash that was meant as one has the text's own quote go on; among several they are meant as quotes.
  constexpr std::string_view kEscapedQuote = "\\\"";
  if (!text.ends_with(kEscapedQuote)) return "";
  return text.find(kEscapedQuote) + kEscapedQuote.size() == text.size() ? kBackslash : kNoEnd;
}

}  // namespace

std::size_t end_of_toml_text(std::string_view document, std::size_t at) {
  const char quote = document[at];
  const std::string triple(3, quote);
  const bool has_lines = document.substr(at, 3) == triple;
  for (at += has_lines ? 3 : 1; at < document.size(); ++at) {
    const char c = document[at];
    if (c == '\n' && !has_lines) return at;
    if (c == '\\' && quote == '"') {
      if (!has_lines && document.substr(at + 1, 1) == "\n") return at + 1;
      ++at;
    } else if (c == quote && (!has_lines || document.substr(at, 3) == triple)) {
      at += has_lines ? 3 : 1;
      // Up to two quotes may stand right before the closing three.
      for (int extra = 0; has_lines && extra < 2 && document.substr(at, 1) == triple.substr(0, 1); ++extra) ++at;
      return at;
    }
  }
  return document.size();
}

std::string_view toml_hint(std::string_view document, std::uint32_t line, std::uint32_t column, bool is_escape) {
  const std::size_t begin = beginning_of(document, line);
  if (begin == std::string_view::npos) return "";
  const std::string_view whole = document.substr(begin, document.find('\n', begin) - begin);
  const std::string_view from_key = without_space(whole);
  const auto key = std::find_if_not(from_key.begin(), from_key.end(), is_of_key) - from_key.begin();
  std::string_view value = without_space(from_key.substr(static_cast<std::size_t>(key)));
  if (key == 0 || !value.starts_with('=')) return "";
  value = without_space(value.substr(1));
  if (value.starts_with('=')) return "one equals sign: key = ...";
  if (value.empty() || value.starts_with('#')) return "a value is missing: key = ...";
  if (value[0] == '"' || value[0] == '\'') return hint_of_text(value, is_escape);
  if (value[0] == '[') value = without_space(value.substr(1));
  const std::string_view word = value.substr(0, value.find_first_of(" \t\r,]}#\"'[{"));
  // The parser stops within the word that it cannot read, or right behind it.
  const auto word_begins = static_cast<std::size_t>(word.data() - whole.data()) + 1;
  if (column < word_begins || column > word_begins + word.size()) return "";
  return hint_of_word(word);
}

}  // namespace tidegate::daemon
