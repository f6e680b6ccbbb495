#include "daemon/config/schema.h"

#include <algorithm>
#include <cmath>
#include <string>
#include <string_view>

#include "core/text.h"
#include "daemon/config/files.h"
#include "daemon/config/header_values.h"

namespace tidegate::daemon {
namespace {

Node text_node(std::string text) {
  Node node;
  node.kind = Node::Kind::text;
  node.text = std::move(text);
  return node;
}

tl::unexpected<Error> mismatch(const Key& key, const std::string& found) {
  return fail(ErrorCode::invalid, "must be " + allowed(key) + ", found " + found);
}
tl::unexpected<Error> mismatch(const Key& key, const Node& node) { return mismatch(key, describe(node)); }

bool is_in_range(const Key& key, double quantity) { return quantity >= key.least && quantity <= key.most; }

std::string quoted_list(const std::vector<std::string>& words) {
  std::string out;
  for (const std::string& word : words) out += (out.empty() ? "\"" : ", \"") + word + "\"";
  return out;
}

std::string limits(const std::string& least, const std::string& most) { return " from " + least + " to " + most; }
std::string number_limits(const Key& key) {
  constexpr double kUnlimited = 1e300;
  if (key.least <= -kUnlimited && key.most >= kUnlimited) return "";
  std::string least;
  std::string most;
  append_number(least, key.least);
  append_number(most, key.most);
  return key.most >= kUnlimited ? " of at least " + least : limits(least, most);
}
std::string whole(double number) { return std::to_string(static_cast<std::int64_t>(number)); }
std::string duration_text(double nanoseconds) {
  return "\"" + format_duration(Duration(static_cast<std::int64_t>(nanoseconds))) + "\"";
}
std::string size_text(double bytes) { return "\"" + format_size(static_cast<std::uint64_t>(bytes)) + "\""; }

// Texts go into topics, paths and log lines: control characters have no business there.
Result<std::string> convert_text(const Key& key, const Node& node) {
  if (node.kind != Node::Kind::text) return mismatch(key, node);
  const std::string& text = node.text;
  if (text.empty() && !key.is_empty_allowed) return mismatch(key, "\"\"");
  if (static_cast<double>(text.size()) > key.most) {
    return fail(ErrorCode::invalid, "must be at most " + whole(key.most) + " bytes long, found " +
                                        std::to_string(text.size()) + " bytes: " + describe(node));
  }
  const bool has_control = std::any_of(text.begin(), text.end(), [](char c) {
    const auto byte = static_cast<unsigned char>(c);
    return byte < 0x20 || byte == 0x7f;
  });
  if (has_control) return fail(ErrorCode::invalid, "must not hold control characters, found " + describe(node));
  return text;
}

Result<Setting> convert_number(const Key& key, const Node& node) {
  const bool is_integer = node.kind == Node::Kind::integer;
  if (!is_integer && node.kind != Node::Kind::real) return mismatch(key, node);
  const double number = is_integer ? static_cast<double>(node.integer) : node.real;
  if (!std::isfinite(number) || !is_in_range(key, number)) return mismatch(key, node);
  return Setting(number);
}

Result<Setting> convert_integer(const Key& key, const Node& node) {
  if (node.kind != Node::Kind::integer) return mismatch(key, node);
  if (!is_in_range(key, static_cast<double>(node.integer))) return mismatch(key, node);
  return Setting(node.integer);
}

// What a text such as "16MB", "16 MiB" or "16m" should have been: "16MiB"; "" for others.
std::string nearest_size(std::string_view text) {
  const std::size_t digits = std::min(text.find_first_not_of("0123456789"), text.size());
  std::string unit;
  for (const char c : text.substr(digits)) {
    if (c != ' ') unit += static_cast<char>(c >= 'A' && c <= 'Z' ? c - 'A' + 'a' : c);
  }
  for (const std::string name : {"KiB", "MiB", "GiB"}) {
    const std::string letter(1, static_cast<char>(name.front() - 'A' + 'a'));
    const bool is_meant = unit == letter || unit == letter + "b" || unit == letter + "i" || unit == letter + "ib";
    std::string meant = std::string(text.substr(0, digits)) + name;
    if (is_meant && parse_size(meant)) return meant;
  }
  return "";
}

Result<Setting> convert_size(const Key& key, const Node& node) {
  if (node.kind != Node::Kind::text) return mismatch(key, node);
  const auto bytes = parse_size(node.text);
  if (const std::string meant = bytes ? "" : nearest_size(node.text); !meant.empty()) {
    return mismatch(key, describe(node) + "; did you mean \"" + meant + "\"?");
  }
  if (!bytes || !is_in_range(key, static_cast<double>(*bytes))) return mismatch(key, node);
  return Setting(static_cast<std::int64_t>(*bytes));
}

Result<Setting> convert_duration(const Key& key, const Node& node) {
  if (node.kind != Node::Kind::text) return mismatch(key, node);
  const auto duration = parse_duration(node.text);
  if (!duration || !is_in_range(key, static_cast<double>(duration->count()))) return mismatch(key, node);
  return Setting(*duration);
}

Result<WordIndex> convert_word(const Key& key, const Node& node) {
  if (node.kind != Node::Kind::text) return mismatch(key, node);
  const auto found = std::find(key.words.begin(), key.words.end(), node.text);
  if (found != key.words.end()) return WordIndex{static_cast<std::size_t>(found - key.words.begin())};
  const std::vector<std::string_view> words(key.words.begin(), key.words.end());
  const std::string near = nearest_word(node.text, words);
  return mismatch(key, describe(node) + (near.empty() ? "" : "; did you mean \"" + near + "\"?"));
}

Result<Setting> convert_words(const Key& key, const Node& node) {
  if (node.kind != Node::Kind::array || node.items.empty()) return mismatch(key, node);
  std::vector<WordIndex> words;
  for (const Node& item : node.items) {
    const auto word = convert_word(key, item);
    if (!word) return tl::unexpected(word.error());
    const auto is_same = [&](WordIndex other) { return other.index == word->index; };
    if (std::any_of(words.begin(), words.end(), is_same)) {
      return fail(ErrorCode::invalid, "names " + describe(item) + " twice");
    }
    words.push_back(*word);
  }
  return Setting(std::move(words));
}

Result<Setting> convert_texts(const Key& key, const Node& node) {
  if (node.kind != Node::Kind::array || node.items.empty()) return mismatch(key, node);
  std::vector<std::string> texts;
  for (const Node& item : node.items) {
    auto text = convert_text(key, item);
    if (!text) return tl::unexpected(text.error());
    texts.push_back(std::move(*text));
  }
  return Setting(std::move(texts));
}

/// `convert` makes the text of a member.
template <class Convert>
Result<Setting> convert_members(const Key& key, const Node& node, const Convert& convert) {
  if (node.kind != Node::Kind::table || node.members.empty()) return mismatch(key, node);
  Pairs pairs;
  for (const Member& member : node.members) {
    if (member.node.kind != Node::Kind::text) {
      return mismatch(key, describe(member.node) + " at \"" + clip(member.name) + "\"");
    }
    auto text = convert(member.node);
    if (!text) return fail(text.error().code, "\"" + clip(member.name) + "\": " + text.error().message);
    pairs.emplace_back(member.name, std::move(*text));
  }
  return Setting(std::move(pairs));
}

Result<Setting> convert_named_texts(const Key& key, const Node& node) {
  return convert_members(key, node, [&key](const Node& member) { return convert_text(key, member); });
}

// What a pointer is made of is looked at where it is taken apart.
Result<Setting> convert_pointers(const Key& key, const Node& node) {
  if (node.kind == Node::Kind::text && node.text == "*") return Setting(node.text);
  return convert_members(key, node, [](const Node& member) { return Result<std::string>(member.text); });
}

Result<Setting> convert_boolean(const Key& key, const Node& node) {
  if (node.kind != Node::Kind::boolean) return mismatch(key, node);
  return Setting(node.boolean);
}

Result<Setting> convert_file(const Key& key, const Node& node) {
  const auto path = convert_text(key, node);
  if (!path) return tl::unexpected(path.error());
  return resolve_file(node.place, *path);
}

// Who writes the text itself mostly means the file of that name.
Result<Setting> convert_secret(const Key& key, const Node& node) {
  auto secret = resolve_secret(node);
  if (secret) return Setting(std::move(*secret));
  if (node.kind != Node::Kind::text) return tl::unexpected(secret.error());
  std::string example = key.example_toml;
  if (resolve_file(node.place, node.text)) example = "{ file = \"" + clip(node.text, 200) + "\" }";
  if (example.empty()) return tl::unexpected(secret.error());
  return fail(ErrorCode::invalid, secret.error().message + ", such as " + key.name + " = " + example);
}

// The complaint about a word, or a list with a word, that only a later version knows.
const LaterWord* find_later_word(const Key& key, const Node& node) {
  for (const Node& item : node.items) {
    if (const LaterWord* found = find_later_word(key, item)) return found;
  }
  const std::string found = node.kind == Node::Kind::text ? node.text : describe(node);
  for (const LaterWord& later : key.later_words) {
    if (later.word == found) return &later;
  }
  return nullptr;
}

Result<Setting> convert_by_type(const Key& key, const Node& node) {
  const auto as_setting = [](auto&& value) { return Setting(std::forward<decltype(value)>(value)); };
  const auto as_open_header = [](std::string&& text) {
    return Setting(std::vector{uplink::HttpHeader{"", std::move(text), "", false}});
  };
  switch (key.type) {
    case KeyType::text:
      return convert_text(key, node).map(as_setting);
    case KeyType::boolean:
      return convert_boolean(key, node);
    case KeyType::integer:
      return convert_integer(key, node);
    case KeyType::number:
      return convert_number(key, node);
    case KeyType::size:
      return convert_size(key, node);
    case KeyType::duration:
      return convert_duration(key, node);
    case KeyType::word:
      return convert_word(key, node).map(as_setting);
    case KeyType::texts:
      return convert_texts(key, node);
    case KeyType::words:
      return convert_words(key, node);
    case KeyType::file:
      return convert_file(key, node);
    case KeyType::secret:
      return convert_secret(key, node);
    case KeyType::secret_file:
      return resolve_secret_file(node).map(as_setting);
    case KeyType::headers:
      return convert_headers(node).map(as_setting);
    case KeyType::text_or_secret:
      if (node.kind == Node::Kind::text) return convert_text(key, node).map(as_open_header);
      return convert_kept_secret(node).map(as_setting);
    case KeyType::kept_secret:
      return convert_kept_secret(node).map(as_setting);
    case KeyType::pointers:
      return convert_pointers(key, node);
    case KeyType::named_texts:
      return convert_named_texts(key, node);
  }
  return mismatch(key, node);
}

std::string text_form(const Key& key) {
  const std::string form = key.form.empty() ? "a text" : key.form;
  return form + (key.is_empty_allowed || !key.form.empty() ? "" : " that is not empty");
}

}  // namespace

Key Key::required() && {
  is_required = true;
  return std::move(*this);
}
Key Key::by_default(const char* value) && {
  fallback = text_node(value);
  return std::move(*this);
}
Key Key::by_default(bool value) && {
  fallback.emplace().kind = Node::Kind::boolean;
  fallback->boolean = value;
  return std::move(*this);
}
Key Key::by_default(int value) && {
  fallback.emplace().kind = Node::Kind::integer;
  fallback->integer = value;
  return std::move(*this);
}
Key Key::by_default(double value) && {
  fallback.emplace().kind = Node::Kind::real;
  fallback->real = value;
  return std::move(*this);
}
Key Key::by_default(std::vector<std::string> values) && {
  fallback.emplace().kind = Node::Kind::array;
  for (std::string& value : values) fallback->items.push_back(text_node(std::move(value)));
  return std::move(*this);
}
Key Key::by_default_is(std::string note) && {
  fallback_note = std::move(note);
  return std::move(*this);
}
Key Key::may_be_empty() && {
  is_empty_allowed = true;
  return std::move(*this);
}
Key Key::not_yet(std::string word, std::string instead) && {
  later_words.push_back(LaterWord{std::move(word), std::move(instead)});
  return std::move(*this);
}
Key Key::must_be(std::string what) && {
  form = std::move(what);
  return std::move(*this);
}
Key Key::example(std::string toml) && {
  example_toml = std::move(toml);
  return std::move(*this);
}
Key Key::says(std::string text) && {
  doc = std::move(text);
  return std::move(*this);
}

const Key* Section::key(std::string_view wanted) const {
  const auto found = std::find_if(keys.begin(), keys.end(), [&](const Key& each) { return each.name == wanted; });
  return found == keys.end() ? nullptr : &*found;
}

const Section* Section::section(std::string_view wanted) const {
  const auto found =
      std::find_if(sections.begin(), sections.end(), [&](const Section& each) { return each.name == wanted; });
  return found == sections.end() ? nullptr : &*found;
}

std::vector<std::string_view> Section::known() const {
  std::vector<std::string_view> names;
  for (const Key& each : keys) names.emplace_back(each.name);
  for (const Section& each : sections) names.emplace_back(each.name);
  return names;
}

std::string allowed(const Key& key) {
  switch (key.type) {
    case KeyType::text:
      return text_form(key);
    case KeyType::boolean:
      return "true or false";
    case KeyType::integer:
      return "an integer" + limits(whole(key.least), whole(key.most));
    case KeyType::number:
      return "a number" + number_limits(key);
    case KeyType::size:
      return "a size" + limits(size_text(key.least), size_text(key.most));
    case KeyType::duration:
      return "a duration" + limits(duration_text(key.least), duration_text(key.most));
    case KeyType::word:
      return (key.words.size() > 1 ? "one of " : "") + quoted_list(key.words);
    case KeyType::texts:
      return "an array of " + (key.form.empty() ? std::string("texts") : key.form) + ", at least one";
    case KeyType::words:
      return "an array of " + quoted_list(key.words) + ", at least one";
    case KeyType::file:
      return "the path of a readable file";
    case KeyType::text_or_secret:
      return "a text, or a secret: { file = \"...\" }, { credential = \"...\" } or { env = \"...\" }";
    case KeyType::kept_secret:
    case KeyType::secret:
      return "a secret: { file = \"...\" }, { credential = \"...\" } or { env = \"...\" }";
    case KeyType::secret_file:
      return "a path, { file = \"...\" } or { credential = \"...\" }";
    case KeyType::pointers:
      return "\"*\" or a table of tag names and JSON pointers, such as { temp = \"/t\", hum = \"/h\" }";
    case KeyType::named_texts:
      return "a table of " + (key.form.empty() ? std::string("texts") : key.form);
    case KeyType::headers:
      return "a table of names and texts or secrets, such as { X-Site = \"north\", Authorization = { file = \"...\" } "
             "}";
  }
  return "";
}

Result<Setting> convert(const Key& key, const Node& node) {
  if (const LaterWord* later = find_later_word(key, node)) {
    const std::string word = later->word == "true" ? later->word : "\"" + later->word + "\"";
    return fail(ErrorCode::invalid, word + " is not available in this version; " + later->instead);
  }
  return convert_by_type(key, node);
}

}  // namespace tidegate::daemon
