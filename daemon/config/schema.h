#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "core/error.h"
#include "core/time.h"
#include "daemon/config/document.h"
#include "uplink/http_options.h"

namespace tidegate::daemon {

class Scope;

enum class KeyType : std::uint8_t {
  text,
  boolean,
  integer,
  number,
  size,            // "256MiB"
  duration,        // "250ms"
  word,            // one of `words`
  texts,           // array of text
  words,           // array of words, no repeats
  file,            // path of a readable file
  secret,          // { file | credential | env }, becomes the text
  secret_file,     // path or { file | credential }, becomes the path
  pointers,        // "*" or a table of text
  named_texts,     // a table of text
  headers,         // a table of text and secrets
  kept_secret,     // a secret that is read again later, becomes a header without a name
  text_or_secret,  // the same, or a text
};

/// What a value of a configuration file becomes: sizes are int64 bytes, words their index, secrets text.
using Pairs = std::vector<std::pair<std::string, std::string>>;
struct WordIndex {
  std::size_t index = 0;
};
using Setting = std::variant<bool, std::int64_t, double, Duration, WordIndex, std::string, std::vector<std::string>,
                             std::vector<WordIndex>, Pairs, std::vector<uplink::HttpHeader>>;

/// A word that the interface promises and this version cannot do yet.
struct LaterWord {
  std::string word;
  std::string instead;
};

/// One row of the table of keys. The rows of a section parse, check, give defaults and document its keys.
struct Key {
  std::string name;
  KeyType type = KeyType::text;
  std::optional<Node> fallback;  // as it would be written
  std::string fallback_note;     // a default that is worked out, in words
  bool is_required = false;
  bool is_empty_allowed = false;
  double least = 0;  // integer, number; bytes of a size; nanoseconds of a duration; bytes of a text
  double most = 4096;
  std::vector<std::string> words;
  std::vector<LaterWord> later_words;  // "true" for a switch that cannot be on
  std::string later;                   // not in this version: what to do instead
  std::string form;                    // what a text has to be, "a broker's address"; empty: any text
  std::string example_toml;
  std::string doc;
  std::function<Result<void>(void* owner, Setting& setting)> store;

  // For rows: each gives the row back.
  Key required() &&;
  Key by_default(const char* text) &&;
  Key by_default(bool value) &&;
  Key by_default(int value) &&;
  Key by_default(double value) &&;
  Key by_default(std::vector<std::string> texts) &&;
  Key by_default_is(std::string note) &&;
  Key may_be_empty() &&;
  Key not_yet(std::string word, std::string instead) &&;
  Key must_be(std::string what) &&;
  Key example(std::string toml) &&;
  Key says(std::string text) &&;
};

/// A table, or an array of tables, with its keys.
struct Section {
  std::string name;
  std::string doc;
  bool is_list = false;
  bool needs_one = false;  // a list that must not be empty
  std::string selector;    // a key that decides what the others mean: when it is wrong, they are not looked at
  std::vector<Key> keys;
  std::vector<Section> sections;
  std::function<void*(void* parent)> open;               // the object that one table fills
  std::function<void(void* self, const Scope&)> finish;  // defaults that are worked out, checks over several keys

  const Key* key(std::string_view wanted) const;
  const Section* section(std::string_view wanted) const;
  /// Names of keys and sections.
  std::vector<std::string_view> known() const;
};

/// What the key takes, in words: "a duration from \"10ms\" to \"60s\"".
std::string allowed(const Key& key);

/// The value as the key's type, or what is wrong with it. Reads files and environment for secrets.
Result<Setting> convert(const Key& key, const Node& node);

/// The whole table of keys; its root stands for the file. Defined by keys*.cc.
const Section& key_table();

}  // namespace tidegate::daemon
