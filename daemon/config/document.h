#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <tl/expected.hpp>
#include <vector>

#include "daemon/config/config.h"

namespace tidegate::daemon {

/// Where something stands in a configuration file.
struct Place {
  std::shared_ptr<const std::string> file;
  std::uint32_t line = 1;
  std::uint32_t column = 1;
};

/// "FILE:LINE"
std::string to_string(const Place& place);

struct Member;

/// A value of a TOML document, free of the library that read it.
struct Node {
  enum class Kind : std::uint8_t { boolean, integer, real, text, date, array, table };

  Kind kind = Kind::table;
  Place place;
  bool boolean = false;
  std::int64_t integer = 0;
  double real = 0;
  std::string text;             // text, and a date as it is written
  std::vector<Node> items;      // array
  std::vector<Member> members;  // table

  const Member* find(std::string_view name) const;
  bool is_array_of_tables() const;
};

struct Member {
  std::string name;
  Place place;  // of the name
  Node node;
};

/// "\"abc\"", "5", "an array of 3", "a table": for messages, clipped.
std::string describe(const Node& node);

/// The same without the content of a text, which may be a secret where a table should be: "a text".
std::string describe_shape(const Node& node);
/// The value as TOML, for the reference.
std::string to_toml(const Node& node);

/// Reads TOML text; `file` is its name in places. A syntax error comes back as a problem.
tl::expected<Node, Problem> parse_document(std::string_view text, const std::string& file);

}  // namespace tidegate::daemon
